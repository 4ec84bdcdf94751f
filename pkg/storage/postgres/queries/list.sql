-- A page of the current state of keys in [$1, $2), without $1 itself if $3, and the
-- revision of that state, in one snapshot; values only if $6. Also the number of keys in
-- range, up to $5.
select meta.rev, meta.compact_rev, page.key, page.mod, page.value,
       (select count(*) from (
           select from head where key >= $1 and key < $2 and not ($3 and key = $1) limit $5
       ) counted)
from meta
left join lateral (
    select key, mod, case when $6 then (select value from log where rev = mod) end as value
    from head
    where key >= $1 and key < $2 and not ($3 and key = $1)
    order by key
    limit $4
) page on true;
