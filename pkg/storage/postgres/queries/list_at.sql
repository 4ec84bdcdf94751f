-- A page of the state at revision $6, else as list.sql. A key that changed since has
-- exactly one log row that replaced a revision up to $6 by one above it.
with state as (
    select key, mod from head
    where mod <= $6 and key >= $1 and key < $2 and not ($3 and key = $1)
    union all
    select key, prev from log
    where rev > $6 and prev between 1 and $6 and key >= $1 and key < $2 and not ($3 and key = $1)
)
select meta.rev, meta.compact_rev, page.key, page.mod, page.value,
       case when $5 then (select count(*) from state) else 0 end
from meta
left join lateral (
    select s.key, s.mod, log.value
    from (select key, mod from state order by key limit $4) s
    join log on log.rev = s.mod
) page on true;
