update meta set compact_rev = $1 where compact_rev < $1 and $1 <= rev;
