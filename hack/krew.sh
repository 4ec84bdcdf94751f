#!/usr/bin/env bash
# Builds the archives of the kubectl plugin and the manifest by which krew installs it.
# The same source, version and Go make the same bytes on any machine.
#
# OUTPUT     the folder, _output/krew if it is not set
# VERSION    a semantic version, v and the chart's if it is not set
# DOWNLOADS  the URL of the folder that the archives will be downloaded from
# PLATFORMS  what to build for, as os/arch
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${OUTPUT:-_output/krew}
version=${VERSION:-v$(sed -n 's/^version: //p' charts/platform/Chart.yaml)}
downloads=${DOWNLOADS:-https://platform.dev/downloads/$version}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}
export CGO_ENABLED=0

mkdir -p "$output"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

manifest=$work/store.yaml
cat >"$manifest" <<END
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: store
spec:
  version: $version
  homepage: https://platform.dev
  shortDescription: Create and look after online stores
  description: |
    Creates online stores on a cluster that has the platform for them, tells who changed
    them and how they were at any time, takes changes back, and shows their logins and logs.
  caveats: |
    The cluster must serve the API group platform.dev.
    For completion, put what "kubectl store completion kubectl" prints on the PATH under
    the name kubectl_complete-store.
  platforms:
END

for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/} program=kubectl-store
  if [ "$os" = windows ]; then program=kubectl-store.exe; fi
  folder=$work/$os-$arch archive=kubectl-store-$os-$arch.tar.gz
  mkdir "$folder"
  GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$folder/$program" ./cmd/kubectl-store
  cp LICENSE "$folder"
  tar --create --directory="$folder" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
    --mode='u=rwX,go=rX' LICENSE "$program" | gzip --best --no-name >"$output/$archive"
  cat >>"$manifest" <<END
    - selector:
        matchLabels: {os: $os, arch: $arch}
      uri: $downloads/$archive
      sha256: $(sha256sum "$output/$archive" | cut -d ' ' -f 1)
      bin: $program
END
done
cp "$manifest" "$output/store.yaml"
