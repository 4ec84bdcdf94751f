-- Where the request came from that made a write: the addresses that it passed, as audit
-- logs have them, with commas between. Null for what nobody asked for, and for rows of
-- programs that know of no such column.
alter table log add column source text;

-- As before, with the sources.
create function apply_batch(
    p_batch bigint, p_kind smallint[], p_key text[], p_expect bigint[], p_value bytea[], p_ttl bigint[],
    p_actor text[], p_audit_id text[], p_verb text[], p_source text[], p_claims jsonb[])
returns table (o_ord int, o_rev bigint, o_removed bytea, o_refused jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_rev bigint;
    v_crt bigint;
begin
    select rev into v_rev from meta for update;
    for i in 1 .. cardinality(p_key) loop
        if p_claims[i] is not null then
            -- A create expects 0, as if every absent key were at that revision.
            if p_expect[i] <> coalesce((select mod from head where key = p_key[i]), 0) then
                continue; -- it fails in any case
            end if;
            o_refused := refuse_claims(p_key[i], p_claims[i]);
            if o_refused is not null then
                o_ord := i;
                o_rev := null;
                o_removed := null;
                return next;
                continue;
            end if;
        end if;
        if p_kind[i] = 0 then
            insert into head (key, mod, crt, expires_at)
            values (p_key[i], v_rev + 1, v_rev + 1, expiry(p_ttl[i], null))
            on conflict (key) do nothing
            returning crt into v_crt;
        elsif p_kind[i] = 1 then
            update head set mod = v_rev + 1, expires_at = expiry(p_ttl[i], expires_at)
            where key = p_key[i] and mod = p_expect[i]
            returning crt into v_crt;
        else
            delete from head where key = p_key[i] and mod = p_expect[i]
            returning crt into v_crt;
        end if;
        if found then
            v_rev := v_rev + 1;
            insert into log (rev, key, prev, crt, kind, batch, actor, audit_id, verb, source, value)
            values (v_rev, p_key[i], p_expect[i], v_crt, p_kind[i], p_batch, p_actor[i],
                nullif(p_audit_id[i], ''), nullif(p_verb[i], ''), nullif(p_source[i], ''), p_value[i]);
            if p_claims[i] is not null then
                perform apply_claims(p_key[i], p_claims[i]);
            end if;
            o_ord := i;
            o_rev := v_rev;
            o_removed := null;
            o_refused := null;
            if p_kind[i] = 2 then
                select value into o_removed from log where rev = p_expect[i];
            end if;
            return next;
        end if;
    end loop;
    update meta set rev = v_rev;
end $$;

-- What programs call that know of no sources.
create or replace function apply_batch(
    p_batch bigint, p_kind smallint[], p_key text[], p_expect bigint[], p_value bytea[], p_ttl bigint[],
    p_actor text[], p_audit_id text[], p_verb text[], p_claims jsonb[])
returns table (o_ord int, o_rev bigint, o_removed bytea, o_refused jsonb) language sql as $$
    select o_ord, o_rev, o_removed, o_refused
    from apply_batch(p_batch, p_kind, p_key, p_expect, p_value, p_ttl, p_actor, p_audit_id, p_verb, '{}', p_claims)
$$;
