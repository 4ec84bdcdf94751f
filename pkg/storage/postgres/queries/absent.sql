-- Why no object had key $1 at revision $2 and time $3, as far as the log can tell: from
-- which revision and time on it tells of every object, null if of all times; whether an
-- object that had the key was created before that; when the last one before was
-- deleted, and when the next one was created.
with base as (
    select max(upper) as upper from log_partitions() where part::text ~ '^log_until_'
), object as (
    select crt from log where key = $1 and kind = 2
    union
    select crt from head where key = $1
), creation as materialized (
    select object.crt, (select at from log where rev = object.crt) as at from object
)
select base.upper - 1,
       case when base.upper is not null then
           coalesce((select at from log where rev >= base.upper order by rev limit 1), clock_timestamp())
       end,
       exists (select from creation where at is null),
       (select at from log where key = $1 and kind = 2 and rev <= $2 and at <= $3 order by rev desc limit 1),
       (select at from creation where crt > $2 or at > $3 order by crt limit 1)
from base;
