-- The transactions that use the log, also prepared ones, which have no process.
select distinct virtualtransaction
from pg_locks
where database = (select oid from pg_database where datname = current_database())
  and relation = 'log'::regclass and granted and pid is distinct from pg_backend_pid();
