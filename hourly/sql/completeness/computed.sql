-- A computed hour, with how many ticks the speed layer has of it. $1: the hour.
select computed_at, ticks, offsets, s.withdrawn, batch_hours.withdrawn as taken_out,
       (select coalesce(sum(h.ticks), 0)::bigint from hour_bars h where h.hour = $1) as speed_ticks
from batch_hours join hour_sums s using (hour)
where hour = $1
