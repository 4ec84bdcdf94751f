#!/bin/sh
# Installs the Debian packages of the programs that the local cluster needs and
# the machine lacks. What is there from elsewhere serves as well.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=
need() {
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need containerd containerd
need runc runc
need iptables iptables
if ! [ -e /usr/lib/cni/bridge ] && ! [ -e /opt/cni/bin/bridge ] && ! [ -e /usr/libexec/cni/bridge ]; then
	missing="$missing containernetworking-plugins"
fi

if [ -z "$missing" ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "Packages are missing. As root, run:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

# The cluster runs a containerd of its own: the package must not start another.
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # One word per package.
apt-get install -y -qq --no-install-recommends $missing
