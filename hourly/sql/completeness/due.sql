-- Those of some computed hours that are to be compared with the speed layer, unless their day was
-- dropped. $1: the hours.
select b.hour
from batch_hours b
         join (select hour, sum(ticks)::bigint as ticks from hour_bars
               where hour = any ($1) group by hour) s using (hour)
         left join compared_hours c using (hour)
where (c.hour is null or c.computed_at <> b.computed_at or c.speed_ticks <> s.ticks)
  and not exists (select from dropped_days where day = (b.hour at time zone 'UTC')::date)
order by b.hour
