-- The last write, by revision $2 and time $3, of the object that had key $1 then, and
-- the latest revision of all. It was either deleted later, the first of those that
-- were, or is there still. A time bounds the revisions too, with a minute for clocks
-- that are set back, so that later ones need not be read.
with bound as (
    select case when isfinite($3::timestamptz) then least($2, revision_at($3 + interval '1 minute')) else $2 end as rev
), object as (
    (select crt from log where key = $1 and kind = 2 and (rev > $2 or at > $3) order by rev limit 1)
    union
    select crt from head where key = $1
), found as (
    select last.*
    from bound
    cross join object
    cross join lateral (
        select rev, kind, at, actor, coalesce(audit_id, '') as audit_id, coalesce(source, '') as source, value
        from log
        where log.crt = object.crt and log.rev >= object.crt and log.rev <= bound.rev and log.at <= $3 and log.kind <> 2
        order by rev desc
        limit 1
    ) last
    order by rev desc
    limit 1
)
select meta.rev, found.rev, found.kind, found.at, found.actor, found.audit_id, found.source, found.value
from meta left join found on true;
