-- The deletes of a batch, else as update.sql. Returns each with the value it removed.
with base as (
    select rev - $2::bigint as rev from meta
), op as (
    select * from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[])
        with ordinality as op (key, actor, audit_id, verb, source, expect, ord)
), deleted as (
    delete from head using op
    where head.key = op.key and head.mod = op.expect
    returning op.ord, op.key, op.expect, head.crt, op.actor, op.audit_id, op.verb, op.source
), logged as (
    insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, source)
    select base.rev + d.ord, d.key, d.expect, d.crt, 2, $1, d.actor, nullif(d.audit_id, ''), nullif(d.verb, ''), nullif(d.source, '')
    from base, deleted d
), complete as (
    select 1 / (case when count(*) = cardinality($3::text[]) then 1 else 0 end) as ok from deleted
)
select complete.ok, d.ord, log.value
from complete
left join deleted d on true -- complete is computed even if nothing was deleted
left join log on log.rev = d.expect;
