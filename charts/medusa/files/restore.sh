#!/bin/sh
# Makes the backup BACKUP_NAME of the folder /backups the shop's database. It is
# brought to a database of its own, which takes the other's name when it is whole:
# ended at any point, this leaves the one or the other, and can be run again. The
# database remembers RESTORE_ID, and is not replaced a second time for it. Nobody
# else may use the database meanwhile.
set -eu
tell=${TERMINATION_LOG:-/dev/termination-log}
cd "${BACKUP_FOLDER:-/backups}"
database=$PGDATABASE new=${PGDATABASE}_restored old=${PGDATABASE}_replaced

fail() {
  echo "$*" | tee "$tell" >&2
  exit 1
}

# sql COMMAND asks the server from outside of the shop's database.
sql() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname=postgres \
    --set=database="$database" --set=new="$new" --set=old="$old" --set=id="$RESTORE_ID" 2>&1
}

done=$(sql <<'SQL'
select shobj_description(oid, 'pg_database') = :'id' from pg_database where datname = :'database';
SQL
) || fail "asking the database: $done"
if [ "$done" != t ]; then
  [ -e "$BACKUP_NAME.dump" ] || fail "there is no backup $BACKUP_NAME"
  [ "$(sha256sum <"$BACKUP_NAME.dump")" = "$(cat "$BACKUP_NAME.sha256")" ] || fail "backup $BACKUP_NAME is damaged: its checksum is another"
  problem=$(sql <<'SQL'
drop database if exists :"new" with (force);
create database :"new" template template0;
SQL
) || fail "making a database: $problem"
  problem=$(pg_restore --exit-on-error --no-owner --dbname="$new" "$BACKUP_NAME.dump" 2>&1) || {
    echo 'drop database if exists :"new" with (force);' | sql >&2 || true
    fail "pg_restore: $problem"
  }
  problem=$(sql <<'SQL'
drop database if exists :"old" with (force);
comment on database :"new" is :'id';
select pg_terminate_backend(pid) from pg_stat_activity where datname in (:'database', :'new');
begin;
alter database :"database" rename to :"old";
alter database :"new" rename to :"database";
commit;
SQL
) || fail "putting the backup's database in place: $problem"
fi
echo 'drop database if exists :"old" with (force);' | sql >&2 || echo "the replaced database stays: it is dropped by the next restore" >&2
