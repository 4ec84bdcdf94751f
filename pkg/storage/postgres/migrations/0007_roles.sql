-- The servers may run as a role that owns nothing and can only use the tables, as
-- queries/grant.sql allows. What takes more, the functions below do as their owner, in
-- the one schema that they were made in.

-- As before, but whoever asks for a cut may fill its tables.
create or replace function prepare_log_cut(p_cut bigint) returns bigint language plpgsql as $$
declare
    v_upper bigint;
begin
    drop table if exists log_base, log_rest;
    execute format('create table log_base (like log including all, constraint cut check (rev < %s and rev >= %s)) with (toast_tuple_target = 8160)',
        p_cut, (select min(lower) from log_partitions()));
    grant select, insert on log_base to session_user;
    select upper into v_upper from log_partitions() where lower < p_cut and upper > p_cut;
    if found then
        execute format('create table log_rest (like log including all, constraint cut check (rev >= %s and rev < %s)) with (toast_tuple_target = 8160)',
            p_cut, v_upper);
        grant select, insert on log_rest to session_user;
    end if;
    return v_upper;
end $$;

do $$
declare
    f regprocedure;
begin
    foreach f in array array['ensure_log_partitions()', 'prepare_log_cut(bigint)', 'make_log_cut(bigint)']::regprocedure[] loop
        execute format('alter function %s security definer set search_path = %I, pg_temp', f, current_schema());
        execute format('revoke execute on function %s from public', f);
    end loop;
end $$;
