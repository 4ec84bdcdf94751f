#!/usr/bin/env bash
# Builds every binary into _output/bin: the platform's, Helm, and those of the
# local cluster. Go's build cache makes the second run quick.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CGO_ENABLED=0
mkdir -p _output/bin
hack/dashboard.sh build
go build -tags=ui -ldflags='-s -w' -o _output/bin/ ./cmd/apiserver ./cmd/dashboard ./cmd/provisioner ./cmd/kubectl-store helm.sh/helm/v3/cmd/helm
hack/localcluster/build.sh
