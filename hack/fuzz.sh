#!/usr/bin/env bash
# Fuzzes every Fuzz function of the module, each for FUZZTIME, or those whose name
# matches FUZZ. What fails is written to testdata/fuzz beside its test, to be committed
# with the cure.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
while read -r file name; do
  echo "== $name (${file%/*})"
  go test "./${file%/*}" -run='^$' -fuzz="^$name\$" -fuzztime="${FUZZTIME:-1m}" || failed+=("$name")
done < <(git grep -o --untracked 'func Fuzz[A-Za-z0-9_]*(f \*testing.F)' -- 'cmd/*_test.go' 'pkg/*_test.go' |
  sed -E 's/:func (Fuzz[A-Za-z0-9_]*).*/ \1/' | grep -E " (${FUZZ:-.*})\$")
[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }
