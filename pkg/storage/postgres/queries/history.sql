-- The last $3 revisions of keys in [$1, $2), newest first, deleted keys included.
-- Walks the log backwards: cheap for what changed lately, a scan for what did not.
select rev, key, kind, at, actor, coalesce(audit_id, ''), coalesce(verb, ''), coalesce(source, ''), value
from log
where key >= $1 and key < $2
order by rev desc
limit $3;
