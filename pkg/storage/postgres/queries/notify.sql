-- Wakes the other replicas at commit. The payload names the sender, so that it can
-- ignore its own.
select pg_notify($1, $2);
