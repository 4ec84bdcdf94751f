#!/usr/bin/env bash
# Fuzzes every Fuzz function of the module, each for FUZZTIME, or those whose name
# matches FUZZ, as many at a time as there are processors. What fails is written to
# testdata/fuzz beside its test, to be committed with the cure.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# They take only what others leave of the processors, also those in control groups of
# their own, against whom niceness does not count.
chrt --idle --pid 0 $$
binaries=$(mktemp -d)
trap 'rm -rf "$binaries"' EXIT
export binaries

# fuzz FILE NAME runs one test, in the binary of its package, with one worker, which may
# spend no more than a second to shorten an input.
fuzz() {
  local package=${1%/*} name=$2 output status=0
  output=$(cd "$package" && "$binaries/${package//\//-}" -test.run='^$' -test.fuzz="^$name\$" -test.parallel=1 \
    -test.fuzztime="${FUZZTIME:-1m}" -test.fuzzminimizetime=1s -test.fuzzcachedir="$(go env GOCACHE)/fuzz/platform.dev/stores/$package" 2>&1) || status=1
  printf '== %s (%s)\n%s\n' "$name" "$package" "$output"
  return "$status"
}
export -f fuzz

tests=$(git grep -o --untracked 'func Fuzz[A-Za-z0-9_]*(f \*testing.F)' -- 'cmd/*_test.go' 'pkg/*_test.go' |
  sed -E 's/:func (Fuzz[A-Za-z0-9_]*).*/ \1/' | grep -E " (${FUZZ:-.*})\$")
cut -d' ' -f1 <<<"$tests" | xargs dirname | sort -u | while read -r package; do
  go test -c -fuzz=. -o "$binaries/${package//\//-}" "./$package"
done
xargs --max-procs="$(nproc)" --max-args=2 bash -c 'fuzz "$@"' fuzz <<<"$tests"
