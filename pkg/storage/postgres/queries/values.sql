-- The values of revisions $1, as far as the log still has them.
select log.rev, log.value
from unnest($1::bigint[]) wanted (rev)
join log on log.rev = wanted.rev;
