-- Drops what earlier restores have left on the server: the database that one has
-- replaced, and those that did not come to be whole.
select format('drop database %I with (force)', datname) from pg_database
  where datname = :'database' || '_replaced' or starts_with(datname, :'database' || '_restored')
\gexec
