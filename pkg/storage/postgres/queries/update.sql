-- The updates of a batch, else as create.sql. If any key is not at the revision
-- expected, the division by zero fails the whole batch.
with base as (
    select rev - $2::bigint as rev from meta
), op as (
    select * from unnest($3::text[], $4::bytea[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[])
        with ordinality as op (key, value, ttl, actor, audit_id, verb, source, expect, ord)
), updated as (
    update head set mod = base.rev + op.ord, expires_at = expiry(op.ttl, head.expires_at)
    from base, op
    where head.key = op.key and head.mod = op.expect
    returning head.mod, op.key, op.expect, head.crt, op.actor, op.audit_id, op.verb, op.source, op.value
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, source, value)
    select mod, key, expect, crt, 1, $1, actor, nullif(audit_id, ''), nullif(verb, ''), nullif(source, ''), value
    from updated
)
select 1 / (case when count(*) = cardinality($3::text[]) then 1 else 0 end) from updated;
