#!/usr/bin/env bash
# Checks, tests and builds the dashboard's pages into dashboard/dist. With the
# argument "build" it only builds them, if something has changed.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../dashboard"

# up_to_date is true if the built pages are newer than all they are made from.
up_to_date() {
  [[ -f dist/index.html ]] || return 1
  [[ -z $(find src public index.html package-lock.json tsconfig.json vite.config.ts -newer dist/index.html -print -quit) ]]
}

if [[ ${1:-} == build ]] && up_to_date; then exit; fi
# npm writes the second file when it has installed what the first one names.
if [[ package-lock.json -nt node_modules/.package-lock.json ]]; then
  # What builds the pages is needed, whatever the caller's environment says.
  NODE_ENV=development npm ci --no-audit --no-fund
fi
if [[ ${1:-} == build ]]; then
  npm run --silent build
  exit
fi
npm run --silent lint
npm test --silent
npm run --silent build
npm run --silent check
