#!/bin/sh
# Starts PostgreSQL, after making a database cluster if there is none. Takes the
# same environment as the well-known image of the Docker library:
#
#   POSTGRES_USER           superuser (postgres)
#   POSTGRES_PASSWORD       its password, or
#   POSTGRES_PASSWORD_FILE  a file that holds it; one of the two is required
#   POSTGRES_DB             database to create (the user's name)
#   POSTGRES_INITDB_ARGS    further arguments of initdb
#   PGDATA                  folder of the cluster, inside a volume but not its root
#
# Arguments go to the server; a first argument without "-" is another command.
set -eu

PGDATA=${PGDATA:-/var/lib/postgresql/data/pgdata}
export PGDATA

fail() {
  echo "entrypoint: $*" >&2
  exit 1
}

quote_identifier() {
  printf '"%s"' "$(printf %s "$1" | sed 's/"/""/g')"
}

# initialise makes the cluster beside its final place and moves it there whole:
# killed at any point it leaves either no cluster or a complete one.
initialise() {
  user=${POSTGRES_USER:-postgres}
  database=${POSTGRES_DB:-$user}
  new=$PGDATA.new
  rm -rf "$new"
  mkdir -p "$(dirname "$PGDATA")"
  password_file=${POSTGRES_PASSWORD_FILE:-}
  if [ -z "$password_file" ]; then
    [ -n "${POSTGRES_PASSWORD:-}" ] || fail "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be set"
    password_file=$(mktemp)
    printf '%s\n' "$POSTGRES_PASSWORD" >"$password_file"
  fi
  # POSTGRES_INITDB_ARGS holds several words on purpose.
  # shellcheck disable=SC2086
  initdb --pgdata="$new" --username="$user" --pwfile="$password_file" \
    --auth-local=trust --auth-host=scram-sha-256 --locale=C.UTF-8 --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
  [ -n "${POSTGRES_PASSWORD_FILE:-}" ] || rm -f "$password_file"
  echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
  if [ "$database" != postgres ]; then
    echo "CREATE DATABASE $(quote_identifier "$database")" | postgres --single -D "$new" -j postgres >/dev/null
  fi
  sync
  mv "$new" "$PGDATA"
}

case ${1:-postgres} in
-*) ;;
postgres) [ $# -eq 0 ] || shift ;;
*) exec "$@" ;;
esac
[ -s "$PGDATA/PG_VERSION" ] || initialise
# A volume mounted with another group may have opened the folder to that group,
# and PostgreSQL then refuses it.
chmod 0700 "$PGDATA"
unset POSTGRES_PASSWORD
exec postgres -c listen_addresses='*' "$@"
