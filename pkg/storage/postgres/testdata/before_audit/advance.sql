-- Takes the next $1 revisions. Every later statement of the batch runs behind this
-- row lock.
update meta set rev = rev + $1 returning rev;
