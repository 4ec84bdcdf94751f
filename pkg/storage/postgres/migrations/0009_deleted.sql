-- Leads from a key to the objects that had it before, by the writes that deleted them:
-- what had a key at a time is the object that was deleted first after it, if not the
-- one that is there now. Deletes are few among the writes, so others hardly pay for it.
create index log_deleted on log (key, rev) where kind = 2;
