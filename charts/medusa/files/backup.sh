#!/bin/sh
# Backs the database up to the file BACKUP_NAME.dump of the folder /backups, beside
# its checksum, and tells in the termination message which backups are kept, with
# their sizes. A file of that name is whole whenever it is there, and is left as it
# is. The newest BACKUP_KEEP backups are kept, and the one named BACKUP_SPARE. What
# restores have left on the server goes: it is in the backups.
set -eu
export LC_ALL=C # for the order of names, which begin with their time
tell=${TERMINATION_LOG:-/dev/termination-log} scripts=$(dirname "$0")
cd "${BACKUP_FOLDER:-/backups}"

fail() {
  rm -f .new.*
  echo "$*" | tee "$tell" >&2
  exit 1
}

psql --no-psqlrc --quiet --tuples-only --no-align --dbname=postgres --set=database="$PGDATABASE" --file="$scripts/leftovers.sql" >&2 ||
  echo "what restores have left stays: the next backup drops it" >&2
rm -f .new.*
if [ ! -e "$BACKUP_NAME.dump" ]; then
  problem=$(pg_dump --format=custom --no-owner --file=.new.dump 2>&1) || fail "pg_dump: $problem"
  problem=$(sha256sum <.new.dump 2>&1 >.new.sha256 && sync .new.dump .new.sha256 2>&1) || fail "writing the backup: $problem"
  mv .new.sha256 "$BACKUP_NAME.sha256"
  mv .new.dump "$BACKUP_NAME.dump"
  sync .
fi

count=0
for file in $(printf '%s\n' *.dump | sort -r); do
  count=$((count + 1))
  name=${file%.dump}
  if [ "$count" -gt "$BACKUP_KEEP" ] && [ "$name" != "${BACKUP_SPARE:-}" ]; then
    rm -f "$file" "$name.sha256"
  else
    echo "$name $(wc -c <"$file")"
  fi
done >"$tell"
