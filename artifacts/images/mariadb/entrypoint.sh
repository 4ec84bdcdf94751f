#!/bin/sh
# Starts MariaDB, after making a database if there is none. Takes the same
# environment as the well-known image of the Docker library:
#
#   MARIADB_DATABASE       database to create
#   MARIADB_USER           user with all rights in it
#   MARIADB_PASSWORD       the user's password, or
#   MARIADB_PASSWORD_FILE  a file that holds it; one of the two is required
#
# Nobody can log in as root. Whoever runs a program as the server's own user, as
# "kubectl exec" does, has all rights through the socket.
#
# Arguments go to the server; a first argument without "-" is another command.
set -eu

volume=/var/lib/mysql
# Inside the volume but not its root, which can hold other things.
data=$volume/data

fail() {
  echo "entrypoint: $*" >&2
  exit 1
}

# quoted WORD prints it as an SQL string.
quoted() {
  printf "'"
  printf %s "$1" | sed -e 's/\\/\\\\/g' -e "s/'/''/g"
  printf "'"
}

# identifier WORD prints it as an SQL name.
identifier() {
  # The backticks are SQL's.
  # shellcheck disable=SC2016
  printf '`%s`' "$(printf %s "$1" | sed 's/`/``/g')"
}

# initialise makes the database beside its final place and moves it there whole:
# killed at any point it leaves either none or a complete one.
initialise() {
  name=${MARIADB_DATABASE:?must name the database to create}
  user=${MARIADB_USER:?must name the user to create}
  if [ -n "${MARIADB_PASSWORD_FILE:-}" ]; then
    password=$(cat "$MARIADB_PASSWORD_FILE")
  else
    password=${MARIADB_PASSWORD:-}
  fi
  [ -n "$password" ] || fail "MARIADB_PASSWORD or MARIADB_PASSWORD_FILE must be set"
  new=$volume/data.new
  rm -rf "$new"
  mkdir -m 0700 "$new"
  users=$(umask 077 && mktemp)
  cat >"$users" <<SQL
flush privileges;
create database $(identifier "$name") character set utf8mb4 collate utf8mb4_unicode_ci;
create user $(quoted "$user")@'%' identified by $(quoted "$password");
grant all on $(identifier "$name").* to $(quoted "$user")@'%';
SQL
  mariadb-install-db --no-defaults --datadir="$new" --skip-name-resolve --skip-test-db \
    --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" --extra-file="$users" >/tmp/initialise.log ||
    { cat /tmp/initialise.log; fail "making the database failed"; }
  rm -f "$users" /tmp/initialise.log
  sync
  mv "$new" "$data"
}

case ${1:-mariadbd} in
-*) ;;
mariadbd) [ $# -eq 0 ] || shift ;;
*) exec "$@" ;;
esac
[ -d "$data/mysql" ] || initialise
unset MARIADB_PASSWORD
exec mariadbd --no-defaults --datadir="$data" --socket=/run/mysqld/mysqld.sock \
  --bind-address='*' --tmpdir=/tmp "$@"
