-- Creates the partitions of log that hold the next two million revisions. Attaching
-- a ready table takes a weaker lock than creating a partition in place, so writers
-- are not stopped.
create function ensure_log_partitions() returns void language plpgsql as $$
declare
    width   constant bigint := 1000000;
    first   bigint;
    name    text;
begin
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.log'));
    select rev / width into first from meta;
    for part in first .. first + 2 loop
        name := 'log_' || part;
        if to_regclass(format('%I.%I', current_schema(), name)) is null then
            execute format('create table %I (like log including all) with (toast_tuple_target = 8160)', name);
            execute format('alter table log attach partition %I for values from (%s) to (%s)',
                name, part * width, (part + 1) * width);
        end if;
    end loop;
end $$;

-- Detects that the server is not the one that assigned the last revisions: a
-- restored backup, or a standby promoted without the tail of the log. Revisions
-- handed out by the lost tail must never be assigned again, so the counter jumps
-- past them and all earlier history is declared compacted: clients start over.
create function check_identity() returns void language plpgsql as $$
declare
    jump   constant bigint := 16777216; -- more writes than a lost tail can hold
    server text;
    line   int;
begin
    select system_identifier::text into server from pg_control_system();
    line := ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int;
    if exists (select from meta where system_id = server and timeline = line) then
        return;
    end if;
    update meta
    set rev = case when timeline = 0 then rev else rev + jump end,
        compact_rev = case when timeline = 0 then compact_rev else rev + jump end,
        epoch = case when timeline = 0 then epoch else epoch + 1 end,
        system_id = server, timeline = line
    where system_id <> server or timeline <> line;
    perform ensure_log_partitions();
end $$;

-- Applies a batch of writes one by one: a write whose precondition fails is left
-- out and takes no revision. Returns one row per write applied, with its position
-- in the batch, its revision, and for a delete the value that was removed.
create function apply_batch(
    p_batch bigint, p_kind smallint[], p_key text[], p_expect bigint[],
    p_value bytea[], p_ttl bigint[], p_actor text[])
returns table (o_ord int, o_rev bigint, o_removed bytea) language plpgsql as $$
#variable_conflict use_column
declare
    v_rev bigint;
    v_crt bigint;
begin
    select rev into v_rev from meta for update;
    for i in 1 .. cardinality(p_key) loop
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
            o_ord := i;
            o_rev := v_rev;
            o_removed := null;
            if p_kind[i] = 2 then
                select value into o_removed from log where rev = p_expect[i];
            end if;
            return next;
        end if;
    end loop;
    update meta set rev = v_rev;
end $$;

-- When a key expires: ttl seconds from now, never for 0, as before for a negative ttl.
create function expiry(ttl bigint, before timestamptz) returns timestamptz language sql volatile as $$
    select case when ttl > 0 then clock_timestamp() + ttl * interval '1 second'
                when ttl < 0 then before end
$$;

select check_identity(), ensure_log_partitions();
