-- The role of the servers asks for a cut of the log, in steps, and no longer fills its
-- tables: the functions do that as their owner, so a cut leaves out nothing that it is
-- to keep and adds nothing, in whatever order they are called.

-- The cut that is being prepared. log_base is there if a row is, and log_rest if that
-- has an upper: the functions rely on it, so that they find no temporary table instead.
create table log_copy (
    cut    bigint  not null,
    upper  bigint,                         -- of the partition that the cut goes through
    last   bigint  not null default 0,     -- the last object looked at for log_base
    copied boolean not null default false  -- log_base is complete
);

drop function prepare_log_cut(bigint);

-- Makes empty tables for a cut: log_base and, if the cut goes through a partition,
-- log_rest for the upper part of it. What an earlier one has left behind, goes. The
-- constraints spare the tables from being read when they are attached.
create function prepare_log_cut(p_cut bigint) returns void language plpgsql as $$
declare
    v_upper bigint;
begin
    if p_cut > (select compact_rev from meta) then
        raise exception 'a cut at revision % would take what is not compacted', p_cut;
    end if;
    delete from log_copy;
    execute format('drop table if exists %1$I.log_base, %1$I.log_rest', current_schema());
    execute format('create table log_base (like log including all, constraint cut check (rev < %s and rev >= %s)) with (toast_tuple_target = 8160)',
        p_cut, (select min(lower) from log_partitions()));
    select upper into v_upper from log_partitions() where lower < p_cut and upper > p_cut;
    if found then
        execute format('create table log_rest (like log including all, constraint cut check (rev >= %s and rev < %s)) with (toast_tuple_target = 8160)',
            p_cut, v_upper);
    end if;
    insert into log_copy (cut, upper) values (p_cut, v_upper);
end $$;

-- Copies to log_base what the next objects, which are named by the revision that created
-- them, were at the cut: the last row of each, unless it is a delete. The index on
-- (crt, rev) leads from object to object, whatever lies between. Returns whether there
-- may be more.
create function copy_log_base(p_count int) returns boolean language plpgsql as $$
declare
    v_copy log_copy;
    v_last bigint;
begin
    select * into strict v_copy from log_copy for update;
    with recursive object as (
        (select crt from log where crt > v_copy.last and rev < v_copy.cut order by crt limit 1)
        union all
        select (select log.crt from log where log.crt > object.crt and log.rev < v_copy.cut order by log.crt limit 1)
        from object where object.crt is not null
    ), batch as materialized (
        select crt from object where crt is not null limit p_count
    ), copied as (
        insert into log_base
        select last.*
        from batch
        cross join lateral (
            select * from log where log.crt = batch.crt and log.rev < v_copy.cut order by log.rev desc limit 1
        ) last
        where last.kind <> 2
    )
    select max(crt) into v_last from batch;
    update log_copy set last = coalesce(v_last, last), copied = v_last is null;
    return v_last is not null;
end $$;

-- Copies to log_rest the next revisions. Returns whether there may be many more: who gets
-- fewer than asked for has caught up with the writers, and leaves to make_log_cut what
-- they add from then on.
create function copy_log_rest(p_count int) returns boolean language plpgsql as $$
declare
    v_copy  log_copy;
    v_count bigint;
begin
    select * into strict v_copy from log_copy for update;
    if v_copy.upper is null then
        return false;
    end if;
    insert into log_rest
    select * from log
    where rev > (select coalesce(max(rev), v_copy.cut - 1) from log_rest) and rev < v_copy.upper
    order by rev limit p_count;
    get diagnostics v_count = row_count;
    return v_count = p_count;
end $$;

-- As before, but only once the base is copied.
create or replace function make_log_cut(p_cut bigint) returns void language plpgsql as $$
declare
    v_lower bigint;
    v_upper bigint;
    r       record;
begin
    delete from log_copy where cut = p_cut and copied returning upper into v_upper;
    if not found then
        raise exception 'the base of a cut at revision % is not copied', p_cut;
    end if;
    -- Against vacuum, which may take long; readers and writers do not notice.
    perform set_config('lock_timeout', '2s', true);
    for r in select part from log_partitions() where lower < p_cut loop
        execute format('lock table %s in share update exclusive mode', r.part);
    end loop;
    perform set_config('lock_timeout', '50ms', true);
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.log'));
    lock table only log in access exclusive mode;
    if v_upper is not null then
        -- What was written since the last step. Nobody can write now.
        insert into log_rest select * from log
        where rev > (select coalesce(max(rev), p_cut - 1) from log_rest) and rev < v_upper;
    end if;
    select min(lower) into v_lower from log_partitions();
    for r in select part from log_partitions() where lower < p_cut loop
        execute format('alter table log detach partition %s', r.part);
        execute format('drop table %s', r.part);
    end loop;
    execute format('alter table log attach partition log_base for values from (%s) to (%s)', v_lower, p_cut);
    alter table log_base drop constraint cut;
    execute format('alter table log_base rename to %I', 'log_until_' || p_cut);
    if v_upper is not null then
        execute format('alter table log attach partition log_rest for values from (%s) to (%s)', p_cut, v_upper);
        alter table log_rest drop constraint cut;
        execute format('alter table log_rest rename to %I', 'log_from_' || p_cut);
    end if;
end $$;

do $$
declare
    f regprocedure;
begin
    foreach f in array array['prepare_log_cut(bigint)', 'copy_log_base(int)', 'copy_log_rest(int)', 'make_log_cut(bigint)']::regprocedure[] loop
        execute format('alter function %s security definer set search_path = %I, pg_temp', f, current_schema());
        execute format('revoke execute on function %s from public', f);
    end loop;
end $$;
