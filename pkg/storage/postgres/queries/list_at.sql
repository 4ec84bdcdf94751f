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
    select state.key, state.mod, log.value
    from state join log on log.rev = state.mod
    order by state.key
    limit $4
) page on true
order by page.key;
