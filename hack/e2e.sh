#!/usr/bin/env bash
# Runs the e2e tests on a fresh local cluster, beginning with the demo itself, and
# then checks that stopping the cluster leaves nothing of it on the machine.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/lib.sh
source hack/lib.sh

# processes lists what runs from _output or with files there, and what runs in
# containers. Others on the machine may run the same programs.
processes() {
  local process
  for process in /proc/[0-9]*; do
    if grep -q "$PWD/_output/" "$process/cmdline" || [[ $(readlink "$process/ns/mnt") != "$(readlink /proc/self/ns/mnt)" ]]; then
      cat "$process/comm"
    fi
  done
}

# machine lists what a cluster could leave behind: processes, mounts, network
# devices and namespaces, firewall rules and cgroups.
machine() (
  set +o errexit +o pipefail # what is not there is not left behind
  echo "# processes"
  processes | sort
  echo "# mounts"
  awk '{print $2}' /proc/mounts | sort
  echo "# network"
  ls /sys/class/net /var/run/netns | sort
  echo "# firewall"
  iptables-save | grep -E '^(:|-A)' | sed 's/\[.*//' | sort
  ip6tables-save | grep -E '^(:|-A)' | sed 's/\[.*//' | sort
  echo "# cgroups"
  find /sys/fs/cgroup -mindepth 1 -maxdepth 3 -type d | grep -iE 'kube|localcluster' | sort
) 2>/dev/null

if [[ -x $bin/localcluster ]]; then
  phase "Stop the cluster that runs" "$bin/localcluster" stop
fi
hack/packages.sh
mkdir -p _output
machine >_output/machine.before

trap '"$bin/localcluster" stop || true' EXIT
hack/demo.sh
# Traefik comes meanwhile: what runs beside it mostly waits.
phase "Install Traefik (five minutes of building the first time)" hack/traefik.sh >"$logs/traefik" &
traefik=$!
phase "Run the demo again" hack/demo.sh
phase "Run the demo in the current context" env CLUSTER=current VALUES=charts/platform/values-local.yaml PATH="$bin:$PATH" hack/demo.sh
phase "Test Helm against the cluster" env STORES_TEST_KUBECONFIG="$KUBECONFIG" go test -count=1 ./pkg/provisioner/helm/...
wait "$traefik"
cat "$logs/traefik"
# No test looks at this one, and the node is small.
kubectl delete store books --wait=false
# Stores mostly wait: three tests at a time fit on a small node.
go test -count=1 -timeout=40m -parallel=3 ./test/e2e/...
phase "Test the dashboard in a browser" hack/dashboard-e2e.sh
trap - EXIT
phase "Stop the cluster" "$bin/localcluster" stop

machine >_output/machine.after
if ! diff _output/machine.before _output/machine.after; then
  echo "The stopped cluster has left the above (<: before it, >: after it) on this machine." >&2
  exit 1
fi
echo "The stopped cluster has left nothing on this machine."
