-- The keys in [$1, $2) written after revision $3, the oldest first, with their values
-- and the names they hold, in order.
select head.key, head.mod, log.value,
       array(select name from claim where claim.key = head.key order by name)
from head join log on log.rev = head.mod
where head.key >= $1 and head.key < $2 and head.mod > $3
order by head.crt;
