-- The last $4 revisions, newest first, of the object that has key $1, up to revision
-- $2 and time $3; and the revision that created it, also when there are none. The
-- index on (crt, rev) leads to them, whatever had the key before. kept tells whether
-- the log still reaches back to the creation. A time bounds the revisions too, with a
-- minute for clocks that are set back, so that later ones need not be read.
select head.crt, exists (select from log first where first.rev = head.crt) as kept,
       found.rev, found.kind, found.at, found.actor, found.audit_id, found.value
from head
left join lateral (
    select rev, kind, at, actor, coalesce(audit_id, '') as audit_id, value
    from log
    where crt = head.crt and rev >= head.crt and at <= $3
      and rev <= case when isfinite($3::timestamptz) then least($2, revision_at($3 + interval '1 minute')) else $2 end
    order by rev desc
    limit $4
) found on true
where head.key = $1;
