-- Number of keys in [$1, $2) and, if $3, the bytes of their values.
select count(*),
       case when $3 then coalesce(sum(octet_length(log.value)), 0) else 0 end::bigint
from head left join log on $3 and log.rev = head.mod
where head.key >= $1 and head.key < $2;
