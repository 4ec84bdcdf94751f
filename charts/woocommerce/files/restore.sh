#!/bin/sh
# The second half of a restore: makes the dump of the backup BACKUP_NAME the shop's
# database. It is loaded into tables of other names, because the shop's user may make
# no other database. They take the places of the present ones in one statement when
# all are whole: ended at any point, this leaves the one or the other, and can be run
# again. The database remembers RESTORE_ID, and is not replaced a second time for it.
# Nobody else may use it meanwhile.
set -eu
tell=${TERMINATION_LOG:-/dev/termination-log}
cd "${BACKUP_FOLDER:-/backups}"
dump=$BACKUP_NAME/database.sql
# A pod that goes on while another has taken its place fills tables of its own. The
# end of its name is short enough for the names of tables.
pod=$(uname -n) && new=restored_${pod##*-}_

fail() {
  echo "$*" | tee "$tell" >&2
  generated "$clean" >&2 || true
  exit 1
}

sql() {
  mariadb --no-defaults --host=mariadb --user=wordpress --default-character-set=utf8mb4 --batch --raw --skip-column-names \
    --init-command='set session foreign_key_checks = 0, group_concat_max_len = 1048576' wordpress 2>&1
}

# generated QUERY runs the statement that the query makes, if it makes one.
generated() {
  statement=$(echo "$1" | sql) || { echo "$statement"; return 1; }
  [ "$statement" = NULL ] || echo "$statement;" | sql
}

# The backticks are SQL's.
# shellcheck disable=SC2016
clean='select concat("drop table ", group_concat("`", table_name, "`")) from information_schema.tables
  where table_schema = database() and table_type = "BASE TABLE" and (table_name like "restored\_%" or table_name like "replaced\_%");'
# shellcheck disable=SC2016
swap='select concat("rename table ", group_concat(pair order by turn)) from (
    select 1 as turn, concat("`", table_name, "` to `replaced_", table_name, "`") as pair from information_schema.tables
      where table_schema = database() and table_type = "BASE TABLE" and table_name not like "restored\_%"
    union all
    select 2, concat("`", table_name, "` to `", substr(table_name, length("'$new'") + 1), "`") from information_schema.tables
      where table_schema = database() and left(table_name, length("'$new'")) = "'$new'"
  ) as pairs;'

# renamed prints the dump with other names for its tables, and without foreign keys:
# their names are the database's, and the present tables have them. Views stay what
# they are.
renamed() {
  sed -e '/^\/\*!50001 CREATE VIEW/,/\*\/;$/d' -e '/^\/\*!500[01]/d' -e '/^CREATE TABLE `/,/^) /{' -e '/^CREATE TABLE `/{s/`/`'"$new"'/;h;d}' -e 'H;/^) /!d;g' \
    -e 's/\n  CONSTRAINT `[^`]*` FOREIGN KEY [^\n]*//g;s/,\n) /\n) /' -e '}' -e 's/^INSERT INTO `/INSERT INTO `'"$new"'/' "$dump"
}

# foreign_keys prints the statements that make the dump's foreign keys.
foreign_keys() {
  sed -n -e '/^CREATE TABLE `/,/^) /{' -e 's/^CREATE TABLE \(`[^`]*`\).*/alter table \1/;t keep' \
    -e '/^  CONSTRAINT `[^`]*` FOREIGN KEY /{s/,$//;s/^  CONSTRAINT \(`[^`]*`\) FOREIGN KEY / add constraint \1 foreign key if not exists /;G;s/^\(.*\)\n\(.*\)$/\2\1;/p}' \
    -e '}' -e 'b' -e ':keep' -e 'h' "$dump"
}

# The shell waits for the command that runs, and then obeys.
trap 'fail "the restore was ended before it was done"' TERM

found=$(sql <<'SQL'
create table if not exists platform_restore (id varchar(255) not null);
select id from platform_restore;
SQL
) || fail "asking the database: $found"
if [ "$found" != "$RESTORE_ID" ]; then
  [ "$(sha256sum <"$dump")" = "$(cat "$BACKUP_NAME/database.sha256")" ] || fail "backup $BACKUP_NAME is damaged: its checksum is another"
  problem=$(generated "$clean") || fail "making room: $problem"
  # The last table is there only if all of the dump was loaded.
  problem=$({ renamed && echo "create table ${new}platform_restore as select '$RESTORE_ID' as id;"; } | sql) ||
    fail "loading the dump: $problem"
  loaded=$(echo "select id from ${new}platform_restore;" | sql) && [ "$loaded" = "$RESTORE_ID" ] || fail "the dump was not loaded to its end: $loaded"
  trap '' TERM # what is begun here is done within the pod's grace period
  problem=$(generated "$swap") || fail "putting the backup's tables in place: $problem"
fi
# The data is the backup's from here on: what fails now takes nothing back.
generated "$clean" >&2 || echo "the replaced tables stay: they are dropped by the next restore" >&2
foreign_keys | sql >&2 || echo "foreign keys are missing" >&2
