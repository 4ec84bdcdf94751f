#!/bin/sh
# Makes the backup BACKUP_NAME of the folder /backups the shop's database. It is
# brought to a database of its own, which takes the other's name when it is whole:
# ended at any point, this leaves the one or the other, and can be run again. The
# database remembers RESTORE_ID, and is not replaced a second time for it. Nothing
# follows the replacement, which could be ended when it is done: the next backup or
# restore drops the replaced database. Nobody else may use the database meanwhile.
set -eu
tell=${TERMINATION_LOG:-/dev/termination-log} scripts=$(dirname "$0")
cd "${BACKUP_FOLDER:-/backups}"
# A pod that goes on while another has taken its place fills a database of its own.
database=$PGDATABASE new=${PGDATABASE}_restored_$(uname -n) old=${PGDATABASE}_replaced

fail() {
  echo "$*" | tee "$tell" >&2
  echo 'drop database if exists :"new" with (force);' | sql >&2 || true
  exit 1
}

# sql [ARGUMENT...] asks the server from outside of the shop's database.
sql() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname=postgres \
    --set=database="$database" --set=new="$new" --set=old="$old" --set=id="$RESTORE_ID" "$@" 2>&1
}

# The shell waits for the command that runs, and then obeys.
trap 'fail "the restore was ended before it was done"' TERM

done=$(sql <<'SQL'
select shobj_description(oid, 'pg_database') = :'id' from pg_database where datname = :'database';
SQL
) || fail "asking the database: $done"
[ "$done" != t ] || exit 0

[ -e "$BACKUP_NAME.dump" ] || fail "there is no backup $BACKUP_NAME"
[ "$(sha256sum <"$BACKUP_NAME.dump")" = "$(cat "$BACKUP_NAME.sha256")" ] || fail "backup $BACKUP_NAME is damaged: its checksum is another"
problem=$(sql --file="$scripts/leftovers.sql") || fail "dropping what earlier restores have left: $problem"

# PostgreSQL that has no room stops. The log takes as much as is loaded, up to
# max_wal_size. The backup is taken to be as large as the present data.
lacking=$(sql <<'SQL'
create temporary table volume (line text);
copy volume from program 'df -Pk .';
select format('%s are free, and %s are needed', pg_size_pretty(free), pg_size_pretty(needed))
  from (select (regexp_split_to_array(line, '\s+'))[4]::bigint * 1024 as free from volume where line ~ '\d+%') as a,
    (select size + least(size, pg_size_bytes(current_setting('max_wal_size'))) as needed from pg_database_size(:'database') as size) as b
  where free < needed;
SQL
) || fail "measuring the database's volume: $lacking"
[ -z "$lacking" ] || fail "the database's volume has no room for a second database: $lacking. Raise persistence.database.size"

problem=$(echo 'create database :"new" template template0;' | sql) || fail "making a database: $problem"
problem=$(pg_restore --exit-on-error --no-owner --dbname="$new" "$BACKUP_NAME.dump" 2>&1) || fail "pg_restore: $problem"

trap '' TERM # it is only a moment
problem=$(sql <<'SQL'
select pg_terminate_backend(pid) from pg_stat_activity where datname in (:'database', :'new');
begin;
comment on database :"new" is :'id';
alter database :"database" rename to :"old";
alter database :"new" rename to :"database";
commit;
SQL
) || fail "putting the backup's database in place: $problem"
