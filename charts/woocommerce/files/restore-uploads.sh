#!/bin/sh
# The first half of a restore: brings the uploads of the backup BACKUP_NAME back.
# They are copied whole beside the present ones before any of those is replaced, so
# a full volume changes nothing. Newer ones stay: the database that comes next does
# not refer to them. Ended at any point, this can be run again.
set -eu
tell=${TERMINATION_LOG:-/dev/termination-log} uploads=${UPLOADS_FOLDER:-/uploads}
backup=${BACKUP_FOLDER:-/backups}/$BACKUP_NAME
new=$uploads/.restored

fail() {
  echo "$*" | tee "$tell" >&2
  rm -rf "$new" || true
  exit 1
}

# The shell waits for the command that runs, and then obeys.
trap 'fail "the restore was ended before it was done"' TERM

[ -d "$backup" ] || fail "there is no backup $BACKUP_NAME"
rm -rf "$new"
problem=$(cp -R --preserve=timestamps "$backup/uploads" "$new" 2>&1) || fail "copying the uploads: $problem"
# Links, which need no room. The volume's root is not ours: only its contents are.
problem=$(cp -R --link --remove-destination "$new/." "$uploads/" 2>&1) || fail "putting the uploads in place: $problem"
rm -rf "$new"
