-- The last $4 revisions, newest first, of the object that has key $1, up to revision
-- $2 and time $3; and the revision that created it, also when there are none. The
-- index on (crt, rev) leads to them, whatever had the key before. kept tells whether
-- the log still reaches back to the creation.
select head.crt, exists (select from log first where first.rev = head.crt) as kept,
       found.rev, found.kind, found.at, found.actor, found.audit_id, found.value
from head
left join lateral (
    select rev, kind, at, actor, coalesce(audit_id, '') as audit_id, value
    from log
    where crt = head.crt and rev >= head.crt and rev <= $2 and at <= $3
    order by rev desc
    limit $4
) found on true
where head.key = $1;
