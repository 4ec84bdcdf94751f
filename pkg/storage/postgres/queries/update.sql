-- The updates of a batch, else as create.sql. If any key is not at the revision
-- expected, the division by zero fails the whole batch.
with next as (
    update meta set rev = rev + cardinality($2::text[])
    returning rev - cardinality($2::text[]) as base
), op as (
    select * from unnest($2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        with ordinality as op (key, value, ttl, actor, audit_id, verb, expect, ord)
), updated as (
    update head set mod = next.base + op.ord, expires_at = expiry(op.ttl, head.expires_at)
    from next, op
    where head.key = op.key and head.mod = op.expect
    returning head.mod, op.key, op.expect, head.crt, op.actor, op.audit_id, op.verb, op.value
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, value)
    select mod, key, expect, crt, 1, $1, actor, nullif(audit_id, ''), nullif(verb, ''), value
    from updated
)
select base / (case when (select count(*) from updated) = cardinality($2::text[]) then 1 else 0 end)
from next;
