-- What a batch of unknown outcome wrote: its rows can only lie above the last
-- revision seen before it was sent.
select key, rev, case when kind = 2 then (select old.value from log old where old.rev = log.prev) end
from log
where rev > $1 and batch = $2;
