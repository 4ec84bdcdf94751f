-- The revisions after $1 in order, at most $2, and how far the counter and compaction
-- have come. Deletes carry the value they removed.
select meta.rev, meta.compact_rev, tail.rev, tail.key, tail.prev, tail.kind, tail.value, tail.removed
from meta
left join lateral (
    select log.rev, log.key, log.prev, log.kind, log.value, old.value as removed
    from log left join log old on old.rev = log.prev and log.kind = 2
    where log.rev > $1
    order by log.rev
    limit $2
) tail on true
order by tail.rev;
