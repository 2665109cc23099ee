-- The windows of runs that came to their end, by where they end. $1: a run that counts too, $2: how
-- the error of one begins that was stopped.
select min(first_hour), end_hour from batch_runs
where first_hour < end_hour
  and (run_id = $1 or status in ('ok', 'partial') and not starts_with(coalesce(error, ''), $2))
group by end_hour
order by 1
