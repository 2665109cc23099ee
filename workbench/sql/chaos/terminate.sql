-- Ends every session of the pipeline, and says how many these were.
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name in ('speed-layer', 'batch-layer') and datname = current_database()
