-- The instances that have renewed their marks lately. $1: within how many seconds.
select client_id from speed_instances where seen_at > clock_timestamp() - make_interval(secs => $1)
