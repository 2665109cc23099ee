-- What the last run of the batch layer did.
select run_id, status, to_char(started_at at time zone 'UTC', 'HH24:MI:SS') as started,
       hours_computed, objects_read, ticks, duplicates
from batch_runs
order by run_id desc limit 1
