-- A page of the state at revision $6, else as list.sql. A key that changed since has
-- exactly one log row that replaced a revision up to $6 by one above it; the others are
-- where they were. A page takes time by its own size and by what changed since.
with changed as (
    select key, prev as mod from log
    where rev > $6 and prev between 1 and $6 and key >= $1 and key < $2 and not ($3 and key = $1)
)
select meta.rev, meta.compact_rev, page.key, page.mod, page.value,
       (select count(*) from (
           (select from head where mod <= $6 and key >= $1 and key < $2 and not ($3 and key = $1) limit $5)
           union all
           select from changed
           limit $5
       ) counted)
from meta
left join lateral (
    select s.key, s.mod, log.value
    from (
        select key, mod
        from ((select key, mod from head
               where mod <= $6 and key >= $1 and key < $2 and not ($3 and key = $1)
               order by key limit $4)
              union all
              select key, mod from changed) state
        order by key limit $4
    ) s
    join log on log.rev = s.mod
) page on true;
