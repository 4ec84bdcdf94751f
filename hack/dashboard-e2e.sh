#!/usr/bin/env bash
# Runs the dashboard's browser tests on the cluster of KUBECONFIG: against the
# dashboard that is installed there, or else against one started on this machine.
# PICTURES=1 also writes the pictures of the docs. Arguments go to Playwright.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
export PATH=$root/_output/bin:$PATH STORES_NAMESPACE=${STORES_NAMESPACE:-dashboard-e2e}

CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-headless-shell)}
export CHROMIUM

work=$(mktemp -d)
pid=
cleanup() {
  [[ -z $pid ]] || kill "$pid"
  # A suspended store is not taken down before it is resumed.
  for store in $(kubectl -n "$STORES_NAMESPACE" get stores -o name); do
    kubectl -n "$STORES_NAMESPACE" patch "$store" --type=merge -p '{"spec":{"suspend":false,"deletionProtection":false}}' >/dev/null || true
  done
  kubectl -n "$STORES_NAMESPACE" delete stores --all --timeout=5m
  kubectl delete engines --selector="e2e=$STORES_NAMESPACE"
  kubectl delete namespace "$STORES_NAMESPACE"
  rm -rf "$work"
}
trap cleanup EXIT

kubectl create namespace "$STORES_NAMESPACE"
for user in keeper:edit visitor:view; do
  kubectl -n "$STORES_NAMESPACE" create serviceaccount "${user%:*}"
  kubectl -n "$STORES_NAMESPACE" create rolebinding "${user%:*}" --clusterrole="${user#*:}" --serviceaccount="$STORES_NAMESPACE:${user%:*}"
done
KEEPER_TOKEN=$(kubectl -n "$STORES_NAMESPACE" create token keeper --duration=2h)
VISITOR_TOKEN=$(kubectl -n "$STORES_NAMESPACE" create token visitor --duration=2h)
export KEEPER_TOKEN VISITOR_TOKEN

if [[ -n ${DASHBOARD_URL:-} ]]; then
  echo "Testing $DASHBOARD_URL."
elif kubectl -n platform get deployment platform-dashboard >/dev/null 2>&1; then
  kubectl -n platform rollout status deployment/platform-dashboard --timeout=2m
  DASHBOARD_URL=http://dashboard.localhost:8080
else
  port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => { console.log(s.address().port); s.close() })")
  kubectl config view --raw --minify -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$work/ca.crt"
  DASHBOARD_URL=http://localhost:$port
  dashboard --bind-address="127.0.0.1:$port" --external-url="$DASHBOARD_URL" --health-bind-address=127.0.0.1:0 \
    --kube-url="$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')/" --kube-ca-file="$work/ca.crt" 2>"$work/log" &
  pid=$!
  trap 'tail -n 20 "$work/log"; cleanup' EXIT
  for ((i = 0; i < 100; i++)); do
    if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    sleep 0.1
  done
fi
export DASHBOARD_URL

cd dashboard
[[ -d node_modules ]] || npm ci --no-audit --no-fund
npx playwright test "$@"
