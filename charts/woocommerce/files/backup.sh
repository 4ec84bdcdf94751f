#!/bin/sh
# The second half of a backup: copies the uploads beside the dump of the database,
# gives the folder its name, BACKUP_NAME, and tells in the termination message which
# backups are kept, with their sizes. A folder of that name is whole whenever it is
# there, and is left as it is. The newest BACKUP_KEEP backups are kept, and the one
# named BACKUP_SPARE.
set -eu
umask 002
export LC_ALL=C # for the order of names, which begin with their time
tell=${TERMINATION_LOG:-/dev/termination-log} uploads=${UPLOADS_FOLDER:-/uploads}
cd "${BACKUP_FOLDER:-/backups}"

fail() {
  echo "$*" | tee "$tell" >&2
  rm -rf .new || true
  exit 1
}

if [ ! -e "$BACKUP_NAME" ]; then
  problem=$(mkdir .new/uploads 2>&1) || fail "making a folder: $problem"
  for file in "$uploads"/* "$uploads"/.[!.]*; do
    # A file system may keep a folder of its own in its root.
    { [ -e "$file" ] && [ "${file##*/}" != lost+found ]; } || continue
    # The other half must be able to remove the copy, whatever the original's mode.
    problem=$(cp -R --no-preserve=mode --preserve=timestamps "$file" .new/uploads/ 2>&1) || fail "copying the uploads: $problem"
  done
  problem=$(sync -f .new/database.sql 2>&1) || fail "writing the backup: $problem"
  mv .new "$BACKUP_NAME"
  sync -f "$BACKUP_NAME"
fi

count=0
for dump in $(printf '%s\n' */database.sql | sort -r); do
  count=$((count + 1))
  name=${dump%/database.sql}
  if [ "$count" -gt "$BACKUP_KEEP" ] && [ "$name" != "${BACKUP_SPARE:-}" ]; then
    rm -rf "$name"
  else
    echo "$name $(du -sb "$name" | cut -f1)"
  fi
done >"$tell"
