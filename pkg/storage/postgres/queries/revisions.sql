-- The last $3 revisions, newest first, up to revision $2 of the object that has key $1
-- or, if there is none, of the last that had; and the revision that created it, also
-- when there are none. The index on (crt, rev) leads to them, whatever had the key
-- before. kept tells whether the log still reaches back to the creation.
with object as (
    select crt from head where key = $1
    union all
    select crt from (
        select crt from log
        where key = $1 and kind = 2 and not exists (select from head where key = $1)
        order by rev desc
        limit 1
    ) gone
)
select object.crt, exists (select from log first where first.rev = object.crt) as kept,
       found.rev, found.kind, found.at, found.actor, found.audit_id, found.source, found.value
from object
left join lateral (
    select rev, kind, at, actor, coalesce(audit_id, '') as audit_id, coalesce(source, '') as source, value
    from log
    where crt = object.crt and rev >= object.crt and rev <= $2
    order by rev desc
    limit $3
) found on true;
