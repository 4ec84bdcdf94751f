-- The creates of a batch whose $2 revisions are already taken. An existing key fails
-- the whole batch (unique violation).
with base as (
    select rev - $2::bigint as rev from meta
), op as (
    select * from unnest($3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::text[])
        as op (ord, key, value, ttl, actor)
), inserted as (
    insert into head (key, mod, crt, expires_at)
    select op.key, base.rev + op.ord, base.rev + op.ord, expiry(op.ttl, null)
    from op, base
)
insert into log (rev, key, prev, crt, kind, batch, actor, value)
select base.rev + op.ord, op.key, 0, base.rev + op.ord, 0, $1, op.actor, op.value
from op, base;
