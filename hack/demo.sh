#!/usr/bin/env bash
# The whole product: sets everything up, creates the store of
# artifacts/examples, follows its steps, and places an order in it.
#
# CLUSTER=local (the default) makes a Kubernetes cluster on this machine.
# CLUSTER=current uses the current kubectl context, whose nodes must be able to
# pull the images that the file VALUES names.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/lib.sh
source hack/lib.sh
store=flowers

if [[ $cluster == local ]]; then
  ((EUID == 0)) || { echo "A Kubernetes node needs root: run make demo as root, or CLUSTER=current make demo." >&2; exit 1; }
  phase "Install missing packages" hack/packages.sh
  phase "Build the platform, Kubernetes and the images (ten minutes the first time)" build
  phase "Start Kubernetes" "$bin/localcluster" start
  phase "Load the images" "$bin/localcluster" load _output/images/{apiserver,provisioner,dashboard,medusa,postgres,woocommerce,mariadb}.tar
else
  phase "Build Helm and the plugin" go build -ldflags='-s -w' -o "$bin/" helm.sh/helm/v3/cmd/helm ./cmd/kubectl-store
fi
phase "Install the platform" install

printf '==> Create store %s\n' "$store"
start=$SECONDS
kubectl apply -f "artifacts/examples/$store.yaml"
kubectl get store "$store" --watch &
watch=$!
trap 'kill "$watch" 2>/dev/null || true' EXIT
kubectl wait --for=condition=Ready --timeout=10m "store/$store" >/dev/null
kill "$watch"
trap - EXIT
printf '    ready after %ds\n' $((SECONDS - start))
kubectl get store "$store" -o go-template='{{range .status.steps}}{{printf "    %-18s %-8s %s  %s" .name .state .startTime (or .endTime "")}}{{"\n"}}{{end}}'

printf '==> Place an order\n'
if [[ $cluster == local ]]; then
  order "$store" 127.0.0.1:8080
else
  kubectl -n "$(kubectl get store "$store" -o jsonpath='{.status.namespace}')" port-forward service/storefront 18080:80 >/dev/null &
  forward=$!
  trap 'kill "$forward"' EXIT
  order "$store" http://127.0.0.1:18080
fi

if kubectl get engine woocommerce >/dev/null 2>&1; then
  printf '==> Create store books, of the other engine\n'
  start=$SECONDS
  kubectl apply -f artifacts/examples/books.yaml
  kubectl wait --for=condition=Ready --timeout=5m store/books >/dev/null
  printf '    ready after %ds, as %s\n' $((SECONDS - start)) "$(kubectl get engine woocommerce -o jsonpath='{.spec.displayName}')"
  phase "Test store books" "$bin/helm" test store --namespace "$(kubectl get store books -o jsonpath='{.status.namespace}')" --timeout 3m --logs
  # What it could do: place an order, or without WooCommerce only log in.
  sed -n '/^POD LOGS/,$p' "$logs/Test-store-books.log" | sed -n '2s/^/    /p'
fi

shopkeeper
cat <<END

The shop is open.
  shop      $(kubectl get store "$store" -o jsonpath='{.status.url}')
  admin     $(kubectl get store "$store" -o jsonpath='{.status.adminURL}')
  login     $bin/kubectl-store credentials $store
END
[[ $cluster != local ]] || cat <<END
  dashboard http://dashboard.localhost:8080, to sign in with what this prints:
            kubectl create token shopkeeper
  kubectl   export KUBECONFIG=$KUBECONFIG PATH=$bin:\$PATH
  stop      make stop
END
