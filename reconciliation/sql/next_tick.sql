-- The first time of a tick or a minute between hours that no other table has: few rows, if any, as
-- there is no index for more. $1: from when on, $2: before when.
select least((select min(minute) from minute_bars where minute >= $1 and minute < $2),
             (select min(timestamp) from realtime_stock where timestamp >= $1 and timestamp < $2))
