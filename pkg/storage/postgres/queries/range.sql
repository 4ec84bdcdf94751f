-- The changes of keys in [$3, $4) after revision $1 up to $2 in order, at most $5.
select meta.rev, meta.compact_rev, tail.rev, tail.key, tail.prev, tail.kind, tail.value, tail.removed
from meta
left join lateral (
    select log.rev, log.key, log.prev, log.kind, log.value, old.value as removed
    from log left join log old on old.rev = log.prev and log.kind = 2
    where log.rev > $1 and log.rev <= $2 and log.key >= $3 and log.key < $4
    order by log.rev
    limit $5
) tail on true
order by tail.rev;
