-- Which key holds which names. Names of which there are limited places are counted
-- by their rows: there is no counter that could drift.
create table claim (
    name      text collate "C" not null,
    key       text collate "C" not null,
    exclusive boolean not null, -- only one key may hold the name
    primary key (name, key)
);
create unique index claim_exclusive on claim (name) where exclusive;
create index claim_key on claim (key);

-- When something was created under a name whose rate is limited.
create table claim_rate (
    name  text collate "C" not null,
    at    timestamptz not null,
    until timestamptz not null -- forgotten then
);
create index claim_rate_name on claim_rate (name, at);
create index claim_rate_until on claim_rate (until);

-- Up to which revision the claims of the keys under a prefix are known to be what
-- their values say. Keys written later by a program that knows of no claims are found
-- by it.
create table claim_scan (
    prefix text collate "C" primary key,
    rev    bigint not null
);

-- A key that goes, by whatever statement, gives its names back.
create function release_claims() returns trigger language plpgsql as $$
begin
    delete from claim using gone where claim.key = gone.key;
    return null;
end $$;
create trigger release_claims after delete on head
    referencing old table as gone for each statement execute function release_claims();

-- Decides on what a write wants to take, in a transaction that holds the counter's
-- lock: null, or why not. p_claims has the members
--   unique, counted, drop: arrays of names
--   limits: [{name, max}]
--   rates:  [{name, count, seconds}]
create function refuse_claims(p_key text, p_claims jsonb) returns jsonb language plpgsql as $$
declare
    v_now  constant timestamptz := clock_timestamp();
    v_ord  bigint;
    v_used bigint;
    v_next timestamptz;
    r      record;
begin
    select w.ord into v_ord from jsonb_array_elements_text(p_claims->'unique') with ordinality as w (name, ord)
    join claim on claim.name = w.name and claim.exclusive and claim.key <> p_key
    order by w.ord limit 1;
    if found then
        return jsonb_build_object('why', 'taken', 'ord', v_ord);
    end if;
    for r in select w.ord, w.value->>'name' as name, (w.value->>'max')::bigint as max
             from jsonb_array_elements(p_claims->'limits') with ordinality as w (value, ord) order by w.ord loop
        select count(*) into v_used from claim where name = r.name;
        if v_used >= r.max then
            return jsonb_build_object('why', 'exceeded', 'ord', r.ord, 'used', v_used);
        end if;
    end loop;
    for r in select w.ord, w.value->>'name' as name, (w.value->>'count')::bigint as count,
                    (w.value->>'seconds')::float8 * interval '1 second' as span
             from jsonb_array_elements(p_claims->'rates') with ordinality as w (value, ord) order by w.ord loop
        select count(*) into v_used from claim_rate where name = r.name and at > v_now - r.span;
        if v_used >= r.count then
            -- As soon as the last but count of them is out of the window.
            select at + r.span into v_next from claim_rate where name = r.name order by at desc offset r.count - 1 limit 1;
            return jsonb_build_object('why', 'rate', 'ord', r.ord, 'used', v_used,
                'next', v_next, 'wait', extract(epoch from v_next - v_now));
        end if;
    end loop;
    return null;
end $$;

-- Writes down what refuse_claims has let through, and what the key no longer holds.
create function apply_claims(p_key text, p_claims jsonb) returns void language plpgsql as $$
declare
    v_now constant timestamptz := clock_timestamp();
begin
    delete from claim where key = p_key and name in (select jsonb_array_elements_text(p_claims->'drop'));
    insert into claim (name, key, exclusive)
    select n, p_key, true from jsonb_array_elements_text(p_claims->'unique') as n
    union all
    select n, p_key, false from jsonb_array_elements_text(p_claims->'counted') as n
    on conflict do nothing;
    if p_claims->'rates' is not null then
        delete from claim_rate using jsonb_to_recordset(p_claims->'rates') as w (name text)
        where claim_rate.name = w.name and claim_rate.until <= v_now;
        insert into claim_rate (name, at, until)
        select w.name, v_now, v_now + max(w.seconds) * interval '1 second'
        from jsonb_to_recordset(p_claims->'rates') as w (name text, seconds float8) group by w.name;
    end if;
end $$;

-- Applies a batch of writes one by one: a write whose precondition fails is left
-- out and takes no revision. Returns one row per write applied, with its position
-- in the batch, its revision, and for a delete the value that was removed; and one
-- without a revision per write whose claims were refused, with the reason.
create function apply_batch(
    p_batch bigint, p_kind smallint[], p_key text[], p_expect bigint[],
    p_value bytea[], p_ttl bigint[], p_actor text[], p_claims jsonb[])
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
            insert into log (rev, key, prev, crt, kind, batch, actor, value)
            values (v_rev, p_key[i], p_expect[i], v_crt, p_kind[i], p_batch, p_actor[i], p_value[i]);
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

-- What programs call that know of no claims.
create or replace function apply_batch(
    p_batch bigint, p_kind smallint[], p_key text[], p_expect bigint[],
    p_value bytea[], p_ttl bigint[], p_actor text[])
returns table (o_ord int, o_rev bigint, o_removed bytea) language sql as $$
    select o_ord, o_rev, o_removed
    from apply_batch(p_batch, p_kind, p_key, p_expect, p_value, p_ttl, p_actor, null::jsonb[])
$$;

-- Makes the claims of a key what its value at revision p_mod says, unless it has
-- changed since. Limits do not count: the object exists. Returns whether it got
-- everything.
create function restore_claims(p_key text, p_mod bigint, p_unique text[], p_counted text[])
returns boolean language plpgsql as $$
begin
    perform from meta for update;
    perform from head where key = p_key and mod = p_mod;
    if not found then
        return true;
    end if;
    delete from claim where key = p_key and name <> all (p_unique || p_counted);
    insert into claim (name, key, exclusive)
    select n, p_key, true from unnest(p_unique) as n
    union all
    select n, p_key, false from unnest(p_counted) as n
    on conflict do nothing;
    return (select count(*) = cardinality(p_unique || p_counted) from claim
            where key = p_key and name = any (p_unique || p_counted));
end $$;
