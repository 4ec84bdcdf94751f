-- The updates of a batch whose $2 revisions are already taken. If any key is not at
-- the revision expected, the division by zero fails the whole batch.
with base as (
    select rev - $2::bigint as rev from meta
), op as (
    select * from unnest($3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::bigint[])
        as op (ord, key, value, ttl, actor, expect)
), updated as (
    update head set mod = base.rev + op.ord, expires_at = expiry(op.ttl, head.expires_at)
    from op, base
    where head.key = op.key and head.mod = op.expect
    returning op.ord, op.key, op.expect, head.crt, op.actor, op.value
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, value)
    select base.rev + u.ord, u.key, u.expect, u.crt, 1, $1, u.actor, u.value
    from updated u, base
)
select 1 / (case when count(*) = cardinality($3) then 1 else 0 end) from updated;
