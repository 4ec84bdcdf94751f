-- The changes of keys in [$3, $4) after revision $1 up to $2 in order, at most $5, else
-- as tail.sql.
select meta.rev, meta.compact_rev, tail.rev, tail.key, tail.prev, tail.kind, tail.value,
       case when tail.kind = 2 then (select old.value from log old where old.rev = tail.prev) end
from meta
left join lateral (
    select rev, key, prev, kind, value
    from log
    where rev > $1 and rev <= $2 and key >= $3 and key < $4
    order by rev
    limit $5
) tail on true;
