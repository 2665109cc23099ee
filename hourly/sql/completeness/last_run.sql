-- When the last run began that looked at all of its usual window and came to its end. $1: how the
-- error of one begins that was stopped.
select max(started_at) from batch_runs
where looks_back and status in ('ok', 'partial') and not starts_with(coalesce(error, ''), $1)
