-- A page of the state at revision $7, else as list.sql. A key that changed since has
-- exactly one log row that replaced a revision up to $7 by one above it; the others are
-- where they were. A page takes time by its own size and by what changed since.
with changed as (
    select key, prev as mod from log
    where rev > $7 and prev between 1 and $7 and key >= $1 and key < $2 and not ($3 and key = $1)
)
select meta.rev, meta.compact_rev, page.key, page.mod, page.value,
       (select count(*) from (
           (select from head where mod <= $7 and key >= $1 and key < $2 and not ($3 and key = $1) limit $5)
           union all
           select from changed
           limit $5
       ) counted)
from meta
left join lateral (
    select s.key, s.mod, case when $6 then (select value from log where rev = s.mod) end as value
    from (
        select key, mod
        from ((select key, mod from head
               where mod <= $7 and key >= $1 and key < $2 and not ($3 and key = $1)
               order by key limit $4)
              union all
              select key, mod from changed) state
        order by key limit $4
    ) s
) page on true;
