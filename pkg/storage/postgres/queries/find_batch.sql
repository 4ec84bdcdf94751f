-- What a batch of unknown outcome wrote: its rows can only lie above the last
-- revision seen before it was sent.
select log.key, log.rev, case when log.kind = 2 then old.value end
from log left join log old on old.rev = log.prev and log.kind = 2
where log.rev > $1 and log.batch = $2
order by log.rev;
