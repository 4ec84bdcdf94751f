-- What the role of the servers may do: use the tables, add to the log, and call the
-- functions. It can make nothing, and changes no row of the log. It compacts, and has the
-- log cut where that is compacted, so how far the past goes back is up to it; a cut leaves
-- the state that each object had there, as it was.
grant usage on schema :schema to :role;
grant select on schema_migrations to :role;
grant select, update on meta to :role;
grant select, insert on log to :role;
grant select, insert, update, delete on head, claim, claim_rate, claim_scan to :role;
grant execute on all functions in schema :schema to :role;
