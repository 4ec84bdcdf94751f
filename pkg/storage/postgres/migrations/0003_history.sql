-- Serves the past of one object, newest first. The creating revision names the
-- object better than its key does, which others may have had before, and makes a
-- small index that no other query is tempted to use.
create index log_crt_rev on log (crt, rev);
