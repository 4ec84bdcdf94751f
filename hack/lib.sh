# What the scripts of this folder share. Source it after `cd` to the repository.
# shellcheck shell=bash

bin=$PWD/_output/bin
logs=$PWD/_output/logs
cluster=${CLUSTER:-local}
namespace=${PLATFORM_NAMESPACE:-platform}

case $cluster in
  local)
    export KUBECONFIG=$PWD/_output/kubeconfig PATH=$bin:$PATH # the cluster's own kubectl
    values=${VALUES:-charts/platform/values-local.yaml}
    ;;
  current) values=${VALUES:?with CLUSTER=current set VALUES to a values file for your cluster, with the registry that holds the images} ;;
  *) echo "CLUSTER=$cluster: use local or current" >&2; exit 2 ;;
esac

# phase TITLE COMMAND... runs a command, shows the time it took, and keeps its
# output in a log that is shown if it fails. A function that it runs must chain its
# commands with &&: bash ignores errexit in what is tested.
phase() {
  local title=$1 log start end
  shift
  mkdir -p "$logs"
  log=$logs/$(tr -cs '[:alnum:]\n' '-' <<<"$title").log
  start=$(date +%s%N)
  printf '==> %s\n' "$title"
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    printf 'failed: %s (the whole log is in %s)\n' "$title" "$log" >&2
    return 1
  fi
  end=$(date +%s%N)
  printf '    %d.%ds\n' $(((end - start) / 1000000000)) $(((end - start) / 100000000 % 10))
}

# build makes the binaries and the images at the same time: one is bound by the
# compiler, the other mostly by npm.
build() {
  artifacts/images/build.sh medusa postgres woocommerce mariadb &
  local images=$!
  if ! hack/build.sh; then
    kill "$images"
    return 1
  fi
  wait "$images" && artifacts/images/build.sh apiserver provisioner dashboard
}

# install brings the platform into the cluster, or up to date, and waits until
# its API answers. It ends when the shop software can be chosen.
install() {
  "$bin/helm" upgrade --install platform charts/platform --namespace "$namespace" --create-namespace --values "$values" &&
    kubectl -n "$namespace" rollout status --timeout=5m deployment/platform-apiserver deployment/platform-provisioner deployment/platform-dashboard &&
    kubectl wait --for=condition=Available --timeout=5m apiservice/v1alpha1.platform.dev &&
    kubectl wait --for=create --timeout=2m engine/medusa
}

# order STORE [CONNECT] places an order in a store of the current namespace.
order() {
  local store=$1 connect=${2:-} secrets ns key
  ns=$(kubectl get store "$store" -o jsonpath='{.status.namespace}')
  secrets=$(mktemp -d)
  for key in publishable-key admin-email admin-password; do
    (umask 077 && kubectl -n "$ns" get secret store-credentials -o "go-template={{index .data \"$key\" | base64decode}}" >"$secrets/$key")
  done
  local status=0
  node artifacts/images/medusa/bin/order.mjs --credentials "$secrets" \
    --url "$(kubectl get store "$store" -o jsonpath='{.status.url}')" ${connect:+--connect "$connect"} || status=$?
  rm -rf "$secrets"
  return "$status"
}

# shopkeeper makes a user who may do with the stores of the current namespace what
# their owners may, and nothing else.
shopkeeper() {
  kubectl create serviceaccount shopkeeper --dry-run=client --output=yaml | kubectl apply --filename=- >/dev/null
  kubectl create rolebinding shopkeeper --clusterrole=edit --serviceaccount="$(kubectl config view --minify --output='jsonpath={..namespace}' | grep . || echo default):shopkeeper" \
    --dry-run=client --output=yaml | kubectl apply --filename=- >/dev/null
}
