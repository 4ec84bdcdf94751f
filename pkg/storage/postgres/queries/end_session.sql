-- Ends one session of ours, so that nothing it was sent can still commit. A process
-- id is reused, the pair with the start time is not. No row: the session is gone.
select pg_terminate_backend(pid, 5000)
from pg_stat_activity
where pid = $1 and backend_start = $2;
