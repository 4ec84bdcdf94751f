-- Copies to log_base what the next $3 objects after $2, which are named by the
-- revision that created them, were at the cut, revision $1 and later excluded: the last
-- row of each, unless it is a delete. The index on (crt, rev) leads from object to
-- object, whatever lies between. Returns the last object looked at, or null.
with recursive object as (
    (select crt from log where crt > $2 and rev < $1 order by crt limit 1)
    union all
    select (select log.crt from log where log.crt > object.crt and log.rev < $1 order by log.crt limit 1)
    from object where object.crt is not null
), batch as materialized (
    select crt from object where crt is not null limit $3
), copied as (
    insert into log_base
    select last.*
    from batch
    cross join lateral (
        select * from log where log.crt = batch.crt and log.rev < $1 order by log.rev desc limit 1
    ) last
    where last.kind <> 2
)
select max(crt) from batch;
