-- Number of keys in [$1, $2) at the latest revision and, if $3, the bytes of their values.
select meta.rev, counted.keys, counted.bytes
from meta
cross join lateral (
    select count(*) as keys,
           coalesce(sum(case when $3 then (select octet_length(value) from log where rev = mod) end), 0)::bigint as bytes
    from head
    where key >= $1 and key < $2
) counted;
