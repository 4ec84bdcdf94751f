-- The deletes of a batch, else as update.sql. Returns each with the value it removed.
with next as (
    update meta set rev = rev + cardinality($2::text[])
    returning rev - cardinality($2::text[]) as base
), op as (
    select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        with ordinality as op (key, actor, audit_id, verb, expect, ord)
), deleted as (
    -- It takes next, so that it waits for the counter before it locks a key.
    delete from head using next, op
    where head.key = op.key and head.mod = op.expect
    returning next.base + op.ord as rev, op.ord, op.key, op.expect, head.crt, op.actor, op.audit_id, op.verb
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb)
    select rev, key, expect, crt, 2, $1, actor, nullif(audit_id, ''), nullif(verb, '')
    from deleted
), complete as (
    select base / (case when (select count(*) from deleted) = cardinality($2::text[]) then 1 else 0 end) as base
    from next
)
select complete.base, d.ord, log.value
from complete
left join deleted d on true -- complete is computed even if nothing was deleted
left join log on log.rev = d.expect;
