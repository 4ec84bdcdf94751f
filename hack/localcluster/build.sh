#!/bin/sh
# Builds the programs of the local cluster into _output/bin. The first time takes
# about ten minutes on two cores; later only what changed is built.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../../_output/bin
mkdir -p "$bin"
cd "$here"

# Kubernetes learns its version at link time; tools such as Helm ask for it.
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
package=k8s.io/component-base/version
ldflags="-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"

# Static binaries run in images that hold nothing else.
export CGO_ENABLED=0
go build -ldflags="$ldflags" -o "$bin/" \
	./cmd/coredns ./cmd/etcd ./cmd/image ./cmd/kubernetes ./cmd/localcluster ./cmd/pause

for program in kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet; do
	ln -sf kubernetes "$bin/$program"
done
