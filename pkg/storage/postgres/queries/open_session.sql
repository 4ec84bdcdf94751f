select check_identity(),
       (select backend_start from pg_stat_activity where pid = pg_backend_pid());
