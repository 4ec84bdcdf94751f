do $$ begin
    if current_setting('server_version_num')::int < 140000 then
        raise exception 'PostgreSQL 14 or later is required, this is %', current_setting('server_version');
    end if;
end $$;

-- One row: the revision counter of the whole database. Its row lock, held until
-- commit, makes revisions dense and visible in order.
create table meta (
    id          int    primary key check (id = 1),
    rev         bigint not null,
    compact_rev bigint not null, -- history below this revision is no longer served
    epoch       bigint not null, -- counts the failovers and restores seen
    system_id   text   not null, -- the server and timeline that assigned rev
    timeline    int    not null
) with (fillfactor = 10);

-- Current state: each living key and the revision that holds its value. Rows are
-- small and no indexed column changes on update, so updates stay heap-only.
-- Collation "C" orders keys by bytes, as clients of storage.Interface expect, and
-- lets the primary key serve prefix scans.
create table head (
    key        text collate "C" primary key,
    mod        bigint not null,
    crt        bigint not null,
    expires_at timestamptz
) with (fillfactor = 70);

-- Serves the search for expired keys; almost always empty.
create index head_expires_at on head (expires_at) where expires_at is not null;

-- History: one row per revision, never updated. The only copy of each value.
create table log (
    rev   bigint   not null,
    key   text collate "C" not null,
    prev  bigint   not null, -- the revision this one replaced, 0 for a create
    crt   bigint   not null, -- the revision that created the key
    kind  smallint not null, -- 0 create, 1 update, 2 delete
    batch bigint   not null, -- the group commit that wrote the row
    at    timestamptz not null default clock_timestamp(),
    actor text     not null, -- the user who asked for the write
    value bytea,             -- null for a delete
    primary key (rev)
) partition by range (rev);

-- Values are written once and mostly read whole, often already compressed or
-- encrypted: compressing them again costs more than it saves.
alter table log alter column value set storage external;

insert into meta
select 1, 1, 0, 1, s.system_identifier::text, 0
from pg_control_system() s;
