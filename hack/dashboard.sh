#!/usr/bin/env bash
# Checks, tests and builds the dashboard's pages into dashboard/dist.
set -o errexit -o nounset -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../dashboard"

# npm writes the second file when it has installed what the first one names.
if [[ package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --no-audit --no-fund
fi
npm run --silent lint
npm test --silent
npm run --silent build
npm run --silent check
