-- A run of the batch layer every five minutes, and the hours that they computed. $1: days.
with runs as
    (insert into batch_runs (started_at, finished_at, status, arguments, hours_computed)
     select started, started + interval '20 seconds', 'ok', '', 1
     from generate_series(now() - make_interval(days => $1::integer), now(), '5 minutes')
              as started
     returning run_id, started_at)
insert into batch_hours (hour, decode_rules, objects, ticks, symbols, duplicates, run_id)
select distinct on (date_trunc('hour', started_at))
       date_trunc('hour', started_at), '', 4, 1, 1, 0, run_id
from runs
