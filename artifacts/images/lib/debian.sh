# shellcheck shell=bash
# Root file systems out of Debian packages, unpacked only: no maintainer script
# runs, so neither root nor a chroot is needed to build one.

# What nothing in a container reads.
readonly DEBIAN_EXCLUDE=(
  --exclude=./usr/share/man --exclude=./usr/share/info --exclude=./usr/share/lintian
  --exclude=./usr/share/bug --exclude=./usr/share/locale
  --exclude='./usr/share/doc/*/changelog*' --exclude='./usr/share/doc/*/NEWS*'
  --exclude='./usr/share/doc/*/examples' --exclude='./usr/share/doc/*/README*'
)

# debian_require fails on a machine whose packages are not those of the lists.
debian_require() {
  local codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  [[ $codename == bookworm && $(uname -m) == x86_64 ]] ||
    die "this recipe takes packages of Debian 12 (bookworm) for amd64, and this machine is not one; build the image with its Dockerfile instead"
}

# debian_fetch FOLDER LIST downloads the packages named in the file LIST, with
# the machine's own package sources but an index of its own.
debian_fetch() {
  local folder=$1 list=$2 packages
  local apt=(apt-get -qq -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache"
    -o APT::Sandbox::User=root -o Acquire::Languages=none)
  mkdir -p "$folder/lists/partial" "$folder/cache"
  mapfile -t packages < <(grep -v '^#' "$list")
  "${apt[@]}" update
  (cd "$folder" && "${apt[@]}" download "${packages[@]}")
}

# debian_unpack ROOT FOLDER unpacks the packages in FOLDER into ROOT.
debian_unpack() {
  local root=$1 folder=$2 name package
  mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
  for name in bin sbin lib lib64; do
    ln -sfn "usr/$name" "$root/$name"
  done
  for package in "$folder"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" |
      tar --extract --directory "$root" --no-same-owner --keep-directory-symlink "${DEBIAN_EXCLUDE[@]}"
  done
}

# debian_configure ROOT does what the maintainer scripts of the base would.
debian_configure() {
  local root=$1
  mkdir -p "$root/etc/ssl/certs" "$root/tmp" "$root/run/postgresql" "$root/var"
  rmdir "$root/var/run" 2>/dev/null || true
  ln -sfn /run "$root/var/run"
  chmod 1777 "$root/tmp"
  ln -sf dash "$root/usr/bin/sh"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
  cat >"$root/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/usr/sbin/nologin
postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh
node:x:1000:1000:Node.js:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
EOF
  cat >"$root/etc/group" <<'EOF'
root:x:0:
postgres:x:999:
node:x:1000:
nogroup:x:65534:
EOF
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
}

# debian_user ROOT NAME ID HOME makes the image's user, over those of the base layer.
debian_user() {
  local root=$1 name=$2 id=$3 home=$4
  mkdir -p "$root/etc"
  printf '%s\n' 'root:x:0:0:root:/root:/usr/sbin/nologin' "$name:x:$id:$id:$name:$home:/bin/sh" >"$root/etc/passwd"
  printf '%s\n' 'root:x:0:' "$name:x:$id:" >"$root/etc/group"
}

# debian_check_libraries ROOT FILE... fails if a program or library in ROOT needs
# a library that ROOT lacks: a package list can fall behind its packages.
debian_check_libraries() {
  local root=$1 file missing
  shift
  local loader="$root/lib64/ld-linux-x86-64.so.2"
  for file in "$@"; do
    missing=$("$loader" --inhibit-cache --library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" \
      --list "$file" | grep -E "not found|=> /(usr/)?lib" || true)
    [[ -z $missing ]] || die "${file#"$root"} lacks a library in the image: $missing"
  done
}
