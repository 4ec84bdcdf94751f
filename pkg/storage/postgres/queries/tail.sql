-- The revisions after $1 and below $2 in order, at most $3, and how far the counter and
-- compaction have come. Deletes carry the value they removed.
select meta.rev, meta.compact_rev, tail.rev, tail.key, tail.prev, tail.kind, tail.value,
       case when tail.kind = 2 then (select old.value from log old where old.rev = tail.prev) end
from meta
left join lateral (
    select rev, key, prev, kind, value
    from log
    where rev > $1 and rev < $2
    order by rev
    limit $3
) tail on true;
