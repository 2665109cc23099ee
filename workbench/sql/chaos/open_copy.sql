-- The session that waits for the rows of a COPY.
select pid from pg_stat_activity
where datname = current_database() and application_name = 'speed-layer'
  and state = 'active' and query like 'copy realtime_stock%' and wait_event = 'ClientRead'
