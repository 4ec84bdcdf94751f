-- Takes the next $1 revisions and returns the one before them. Every later statement of
-- the batch runs behind this row lock. It comes before the locks of all other tables.
update meta set rev = rev + $1::bigint returning rev - $1::bigint;
