-- The creates of a batch. They take their revisions first, so that the row lock of the
-- counter keeps other batches out until the commit. Returns the revision before the
-- first. An existing key fails the whole batch (unique violation).
with next as (
    update meta set rev = rev + cardinality($2::text[])
    returning rev - cardinality($2::text[]) as base
), inserted as (
    insert into head (key, mod, crt, expires_at)
    select op.key, next.base + op.ord, next.base + op.ord, expiry(op.ttl, null)
    from next, unnest($2::text[], $4::bigint[]) with ordinality as op (key, ttl, ord)
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, value)
    select next.base + op.ord, op.key, 0, next.base + op.ord, 0, $1,
           op.actor, nullif(op.audit_id, ''), nullif(op.verb, ''), op.value
    from next, unnest($2::text[], $3::bytea[], $5::text[], $6::text[], $7::text[])
        with ordinality as op (key, value, actor, audit_id, verb, ord)
)
select base from next;
