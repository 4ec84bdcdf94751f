-- The creates of a batch, which get the revisions that start $2 before the last one
-- taken. An existing key fails the whole batch (unique violation).
with base as (
    select rev - $2::bigint as rev from meta
), inserted as (
    insert into head (key, mod, crt, expires_at)
    select op.key, base.rev + op.ord, base.rev + op.ord, expiry(op.ttl, null)
    from base, unnest($3::text[], $5::bigint[]) with ordinality as op (key, ttl, ord)
)
insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, source, value)
select base.rev + op.ord, op.key, 0, base.rev + op.ord, 0, $1,
       op.actor, nullif(op.audit_id, ''), nullif(op.verb, ''), nullif(op.source, ''), op.value
from base, unnest($3::text[], $4::bytea[], $6::text[], $7::text[], $8::text[], $9::text[])
    with ordinality as op (key, value, actor, audit_id, verb, source, ord);
