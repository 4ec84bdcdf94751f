# shellcheck shell=bash
# Parts are folders that images are made of. A part is made once for the content
# of its inputs and is there either whole or not at all.

# inputs_digest NAME is a digest of the content of `inputs NAME`.
inputs_digest() {
  local paths
  read -ra paths < <(inputs "$1")
  find "${paths[@]}" -type f ! -path '*/node_modules/*' -print0 |
    sort -z | xargs -0 sha256sum | sed "s|$REPOSITORY/||" | sha256sum | cut -c1-16
}

# part NAME prints the folder of the part, after making it if needed.
part() {
  local folder
  folder=$PARTS/$1-$(inputs_digest "$1")
  if [[ ! -d $folder ]]; then
    (
      flock 8
      [[ ! -d $folder ]] || exit 0
      local started=$SECONDS
      rm -rf "$folder.new"
      mkdir -p "$folder.new"
      "make_$1" "$folder.new" >&2
      mv "$folder.new" "$folder"
      echo "$1 took $((SECONDS - started)) s" >&2
    ) 8>"$PARTS/.$1.lock"
  fi
  echo "$folder"
}

# make_parts NAME... makes parts side by side.
make_parts() {
  local name pid failed=0
  local -a pids=()
  for name in "$@"; do
    part "$name" >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
  ((failed == 0)) || die "building ${*} failed"
}

# remove_old_parts deletes parts whose inputs have changed since.
remove_old_parts() {
  local folder name
  for folder in "$PARTS"/*-*; do
    name=$(basename "${folder%-*}")
    [[ $folder == "$PARTS/$name-$(inputs_digest "$name")" ]] || rm -rf "$folder"
  done
}
