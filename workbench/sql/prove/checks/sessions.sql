-- Sessions of the pipeline that were left behind.
select format('%s (pid %s) %s since %s', application_name, pid, state, state_change)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
  and backend_type = 'client backend'
  and application_name in ('speed-layer', 'speed-layer upkeep', 'batch-layer')
