-- The state of keys in [$1, $2) at revision $3, in order of the keys, and from which
-- revision on the log can tell. The index on (crt, rev) leads from object to object, to
-- the last row of each up to the revision, whatever was written since and how often.
with recursive object as (
    (select crt from log where rev <= $3 order by crt limit 1)
    union all
    select (select log.crt from log where log.crt > object.crt and log.rev <= $3 order by log.crt limit 1)
    from object where object.crt is not null
), state as (
    select last.*
    from object
    cross join lateral (
        select rev, key, kind, at, actor, audit_id, source, value from log
        where log.crt = object.crt and log.rev <= $3 order by log.rev desc limit 1
    ) last
    where last.kind <> 2 and last.key >= $1 and last.key < $2
)
select meta.rev, log_complete_from(), state.rev, state.key, state.kind, state.at, state.actor, coalesce(state.audit_id, ''), coalesce(state.source, ''), state.value
from meta left join state on true
order by state.key;
