#!/bin/sh
# The first half of a backup: dumps the database to the folder .new of /backups. The
# dump is of one moment, and holds no statement but the making and filling of tables.
set -eu
umask 002 # the second half is another user of the same group
tell=${TERMINATION_LOG:-/dev/termination-log}
cd "${BACKUP_FOLDER:-/backups}"

fail() {
  echo "$*" | tee "$tell" >&2
  rm -rf .new || true
  exit 1
}

problem=$(rm -rf .new 2>&1) || fail "removing a backup that was not completed: $problem"
[ ! -e "$BACKUP_NAME" ] || exit 0
problem=$(mkdir .new 2>&1) || fail "making a folder: $problem"
problem=$(mariadb-dump --no-defaults --host=mariadb --user=wordpress --single-transaction --quick --hex-blob \
  --no-tablespaces --skip-triggers --skip-add-drop-table --skip-add-locks --skip-disable-keys --skip-comments \
  --default-character-set=utf8mb4 --result-file=.new/database.sql wordpress 2>&1) || fail "mariadb-dump: $problem"
problem=$(sha256sum <.new/database.sql 2>&1 >.new/database.sha256) || fail "writing the checksum: $problem"
