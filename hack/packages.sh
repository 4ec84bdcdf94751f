#!/usr/bin/env bash
# Installs the Debian packages that the tests and the demo need and the machine
# lacks. A user who is not root is told which.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! dpkg-query -W -f='${db:Status-Status}' postgresql-15 2>/dev/null | grep -qx installed; then
  if ((EUID)); then
    echo "PostgreSQL is missing. As root, run: apt-get install --no-install-recommends postgresql-15" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # No database is made at installation: every test makes its own.
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get install -y -qq --no-install-recommends postgresql-15
fi

# Gives a PostgreSQL server another clock, in the tests of the storage under faults.
if ! command -v faketime >/dev/null; then
  if ((EUID)); then
    echo "faketime is missing. As root, run: apt-get install --no-install-recommends faketime" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends faketime
fi

# Any Chromium will do for the dashboard's browser tests; the shell is the smallest.
if ! command -v chromium >/dev/null && ! command -v chromium-headless-shell >/dev/null; then
  if ((EUID)); then
    echo "Chromium is missing. As root, run: apt-get install --no-install-recommends chromium-headless-shell" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium-headless-shell
fi
hack/localcluster/packages.sh
