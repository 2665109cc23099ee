-- How many hours are incomplete, the first of them, and how many of a window the speed layer alone
-- has. $1 and $2: the window.
select count(*) as incomplete,
       min(concat(to_char(hour at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'), ': ', reason))
           as example,
       count(*) filter (where speed_ticks > 0 and batch_ticks is null and hour >= $1 and hour < $2)
           as speed_only
from archive_hours
where status = 'incomplete'
