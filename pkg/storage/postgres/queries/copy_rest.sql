-- Copies to log_rest the next $3 revisions after $1, up to $2 excluded. Returns the last
-- of them, or null.
with copied as (
    insert into log_rest
    select * from log where rev > $1 and rev < $2 order by rev limit $3
    returning rev
)
select max(rev) from copied;
