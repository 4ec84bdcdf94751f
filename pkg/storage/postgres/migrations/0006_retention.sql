-- The log is a base and what came after: the first partition, log_until_<revision>,
-- holds of each object that existed at that revision the row that was its state then,
-- and the partitions after it hold every revision. Retention moves the base up.

-- The partitions of log in order, with the revisions they are for.
create function log_partitions() returns table (part regclass, lower bigint, upper bigint) language sql stable as $$
    select c.oid::regclass, bound[1]::bigint, bound[2]::bigint
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\) TO \(''(\d+)''\)') bound
    where i.inhparent = 'log'::regclass
    order by 2
$$;

-- The revision from which on the log has every one.
create function log_complete_from() returns bigint language sql stable as $$
    select coalesce(
        (select upper from log_partitions() where part::text ~ '^log_until_' limit 1),
        (select min(rev) from log),
        (select rev + 1 from meta))
$$;

-- The last revision that was made by a time. It halves the log, in which the clock
-- grows with the revisions, but for writes of one batch and a clock that is set back.
create function revision_at(p_time timestamptz) returns bigint language plpgsql stable as $$
declare
    v_low  bigint; -- made by then
    v_high bigint; -- what follows was made later
    v_mid  bigint;
    v_row  record;
begin
    select rev into v_high from meta;
    select coalesce(min(rev) - 1, v_high) into v_low from log;
    while v_low < v_high loop
        v_mid := v_low + (v_high - v_low + 1) / 2;
        select rev, at into v_row from log where rev > v_low and rev <= v_mid order by rev desc limit 1;
        if not found or v_row.at <= p_time then
            v_low := v_mid;
        else
            v_high := v_row.rev - 1;
        end if;
    end loop;
    return v_low;
end $$;

-- Creates partitions of log such that two are always empty. Each is for a million
-- revisions or, if that is more, for as many as there were in the last day, so that a
-- month has some thirty partitions at most. Attaching a ready table takes a weaker
-- lock than creating a partition in place, so writers are not stopped.
create or replace function ensure_log_partitions() returns void language plpgsql as $$
declare
    width  constant bigint := 1000000;
    v_rev  bigint;
    v_last bigint;
    v_day  bigint;
begin
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.log'));
    select rev into v_rev from meta;
    while (select count(*) < 2 from log_partitions() where lower > v_rev) loop
        v_day := coalesce(v_day, (v_rev - revision_at(now() - interval '1 day')) / width);
        select greatest(max(upper), v_rev / width * width) into v_last from log_partitions();
        execute format('create table %I (like log including all) with (toast_tuple_target = 8160)', 'log_from_' || v_last);
        execute format('alter table log attach partition %I for values from (%s) to (%s)',
            'log_from_' || v_last, v_last, v_last + width * (v_day + 1));
    end loop;
end $$;

-- Up to which revision, exclusive, the log should be cut down to a base: null for not
-- at all. What is younger than p_age is kept (null keeps all), as long as the log
-- beyond its base is not larger than p_bytes (null is no bound), and what is not yet
-- compacted is kept in any case.
--
-- Each cut copies the base, hence it takes away an eighth of the age or a quarter of
-- the size at least. A cut between partitions is cheaper than one through the middle
-- of one, which is made only if it takes away much more.
create function log_cut(p_age interval, p_bytes bigint) returns bigint language plpgsql stable as $$
declare
    v_from  bigint := log_complete_from();
    v_old   bigint := 0; -- no longer needed up to here because of age
    v_cut   bigint := 0;
    v_base  bigint := 0; -- bytes
    v_tail  bigint := 0;
    v_limit bigint;
    v_rev   bigint;
    r       record;
begin
    if p_age is not null and v_from <= revision_at(now() - p_age * 1.125) then
        v_old := revision_at(now() - p_age) + 1;
        select max(lower) into v_cut from log_partitions() where lower <= v_old;
        if v_cut <= revision_at(now() - p_age * 1.125) then
            v_cut := v_old;
        end if;
    end if;
    if p_bytes is not null then
        select rev into v_rev from meta;
        select coalesce(sum(pg_total_relation_size(part)) filter (where upper <= v_from), 0),
               coalesce(sum(pg_total_relation_size(part)) filter (where lower >= v_from or upper > v_from), 0)
        into v_base, v_tail from log_partitions() where lower <= v_rev;
        v_limit := greatest(p_bytes - v_base, p_bytes / 4);
        if v_tail > v_limit then
            v_limit := v_limit / 4 * 3;
            for r in select lower, least(upper, v_rev + 1) as upper, pg_total_relation_size(part) as size
                     from log_partitions() where lower <= v_rev and upper > v_from order by lower desc loop
                if r.size <= v_limit then
                    v_limit := v_limit - r.size;
                    continue;
                end if;
                -- The next partition up will do, unless there is room for much of this.
                if v_limit <= p_bytes / 4 and r.upper <= v_rev then
                    v_cut := greatest(v_cut, r.upper);
                else
                    v_cut := greatest(v_cut, r.upper - ((r.upper - r.lower) * v_limit::float8 / r.size)::bigint);
                end if;
                exit;
            end loop;
        end if;
    end if;
    v_cut := least(v_cut, (select compact_rev from meta));
    if v_cut > v_from then
        return v_cut;
    end if;
    return null;
end $$;

-- Makes empty tables for a cut: log_base and, if the cut goes through a partition,
-- log_rest for the upper part of it. What an earlier one has left behind, goes. The
-- constraints spare the tables from being read when they are attached.
create function prepare_log_cut(p_cut bigint) returns bigint language plpgsql as $$
declare
    v_upper bigint;
begin
    drop table if exists log_base, log_rest;
    execute format('create table log_base (like log including all, constraint cut check (rev < %s and rev >= %s)) with (toast_tuple_target = 8160)',
        p_cut, (select min(lower) from log_partitions()));
    select upper into v_upper from log_partitions() where lower < p_cut and upper > p_cut;
    if found then
        execute format('create table log_rest (like log including all, constraint cut check (rev >= %s and rev < %s)) with (toast_tuple_target = 8160)',
            p_cut, v_upper);
    end if;
    return v_upper;
end $$;

-- Puts the tables of a cut in the place of the partitions they were filled from, which
-- go. Nobody sees the log without either. If others are in the way it gives up soon,
-- to be called again, since whoever comes after it waits behind it.
create function make_log_cut(p_cut bigint) returns void language plpgsql as $$
declare
    v_lower bigint;
    v_upper bigint;
    r       record;
begin
    -- Against vacuum, which may take long; readers and writers do not notice.
    perform set_config('lock_timeout', '2s', true);
    for r in select part from log_partitions() where lower < p_cut loop
        execute format('lock table %s in share update exclusive mode', r.part);
    end loop;
    perform set_config('lock_timeout', '50ms', true);
    perform pg_advisory_xact_lock(hashtext(current_schema() || '.log'));
    lock table only log in access exclusive mode;
    if to_regclass('log_rest') is not null then
        -- What was written since the last step. Nobody can write now.
        select upper into strict v_upper from log_partitions() where lower < p_cut and upper > p_cut;
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
