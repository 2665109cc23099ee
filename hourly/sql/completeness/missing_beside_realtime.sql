-- Ranges of missing offsets between hours that the speed layer has, with whether the days of these
-- were dropped.
select topic, partition, first_offset, before_offset, before_hour, after_offset, after_hour,
       exists (select from dropped_days where day = (before_hour at time zone 'UTC')::date),
       exists (select from dropped_days where day = (after_hour at time zone 'UTC')::date)
from missing_offsets m
where exists (select from hour_bars b where b.hour = m.before_hour)
  and exists (select from hour_bars b where b.hour = m.after_hour)
