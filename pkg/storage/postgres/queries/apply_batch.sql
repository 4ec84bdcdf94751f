select o_ord, o_rev, o_removed, o_refused from apply_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);
