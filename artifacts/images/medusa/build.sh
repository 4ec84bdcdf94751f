#!/bin/sh
# Builds the application into the folder app, after `npm ci`. Node.js and npm are
# those on PATH.
set -eu
cd "$(dirname "$0")"

MEDUSA_BUILD=1 NODE_ENV=production MEDUSA_DISABLE_TELEMETRY=true XDG_CONFIG_HOME=$PWD/.config \
  node_modules/.bin/medusa build
npm prune --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
mv .medusa/server app
mv node_modules app/
node prune.mjs app
cp -R bin storefront app/

# Mount points for uploads.
mkdir app/static app/private
# Migrating, Medusa makes this folder in each module that has none, which it
# cannot on a read-only file system.
for module in app/node_modules/@medusajs/*/dist; do
  mkdir -p "$module/migrations"
done
