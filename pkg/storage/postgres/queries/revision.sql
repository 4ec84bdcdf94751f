select rev, compact_rev from meta;
