#!/bin/sh
# Installs the Debian packages that the local cluster needs and the machine lacks.
set -eu

missing=
for package in containerd runc containernetworking-plugins iptables conntrack socat ethtool; do
	case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done

# A containerd that did not come as this package serves as well.
for program in containerd runc; do
	if command -v "$program" >/dev/null 2>&1; then
		missing=$(printf '%s ' "$missing" | sed "s/ $program / /; s/ \$//")
	fi
done

if [ -z "$missing" ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "These packages are missing. As root, run:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi

# The cluster runs a containerd of its own: the package must not start another.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # One word per package.
apt-get install -y -qq --no-install-recommends $missing
