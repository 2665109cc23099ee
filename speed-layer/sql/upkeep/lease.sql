-- Takes the upkeep, or keeps it. $1: who, $2: for how many seconds.
update realtime_upkeep set holder = $1, leased_until = clock_timestamp() + make_interval(secs => $2)
where leased_until < clock_timestamp() or holder = $1
