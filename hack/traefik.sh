#!/usr/bin/env bash
# Puts Traefik into the local cluster, with the Gateway API: IngressClass and
# GatewayClass "traefik". Traefik is built from its Go module; the first time
# takes five minutes of CPU. With the argument "build" it only builds the image.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export CGO_ENABLED=0 GOWORK=off
export KUBECONFIG=${KUBECONFIG:-$root/_output/kubeconfig} PATH=$root/_output/bin:$PATH
archive=$root/_output/images/traefik.tar

# trim_lego makes a copy of the ACME library that knows no DNS provider: Traefik
# links all 170 of them, with the clients of every cloud, and one of their modules
# cannot be had. The local cluster asks no certificate authority.
trim_lego() {
  local version source
  version=$(sed -n 's|^\tgithub.com/go-acme/lego/v5 \(v[^ ]*\).*|\1|p' hack/traefik/go.mod)
  local copy=$root/_output/traefik/lego
  [[ ! -f $copy/.$version ]] || return 0
  source=$(cd / && go mod download -json "github.com/go-acme/lego/v5@$version" | sed -n 's|^\t"Dir": "\(.*\)",$|\1|p')
  rm -rf "$copy"
  mkdir -p "$copy"
  cp -R "$source/." "$copy"
  chmod -R u+w "$copy"
  find "$copy/providers/dns" -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
  sed -i '\|lego/v5/providers/dns/|d; /^\tcase /d; /^\t\treturn [a-z0-9]*\.NewDNSProvider/d' "$copy/providers/dns/zz_gen_dns_providers.go"
  touch "$copy/.$version"
}

build() {
  trim_lego
  mkdir -p _output/images _output/bin
  (cd hack/traefik && go build -ldflags='-s -w' -o "$root/_output/traefik/traefik" github.com/traefik/traefik/v3/cmd/traefik)
  [[ -x _output/bin/image ]] || GOWORK='' go build -o _output/bin/ ./hack/localcluster/cmd/image
  [[ $archive -nt _output/traefik/traefik ]] ||
    image -o "$archive" -t platform.dev/traefik:dev -layer _output/traefik/traefik=/usr/local/bin/traefik \
      -user 65532:65532 -entrypoint /usr/local/bin/traefik
}

install() {
  localcluster load "$archive"
  local api
  api=$(cd hack/traefik && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
  kubectl apply --server-side --filename "$api/config/crd/standard"
  kubectl wait --for=condition=Established --timeout=1m crd/httproutes.gateway.networking.k8s.io crd/gateways.gateway.networking.k8s.io
  kubectl apply --filename hack/traefik/traefik.yaml
  kubectl -n traefik rollout status --timeout=3m deployment/traefik
  kubectl wait --for=condition=Accepted --timeout=1m gatewayclass/traefik
}

build
[[ ${1:-} == build ]] || install
