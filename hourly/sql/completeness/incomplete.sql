-- Hours of which something is missing, those first that were listed least lately. $1: before which
-- hour, $2: since when ticks are counted, $3: how many at most.
with recursive seen (hour) as
    ((select hour from hour_bars order by hour limit 1)
     union all
     select (select b.hour from hour_bars b where b.hour > seen.hour order by b.hour limit 1)
     from seen
     where seen.hour is not null),
    missing as
    (select hour from seen
     where hour < $1 and not exists (select from batch_hours b where b.hour = seen.hour)
     union
     select s.hour
     from (select hour, sum(ticks) as ticks from hour_bars
           where hour >= $2 and hour < $1 group by hour) s
              join batch_hours b on b.hour = s.hour
              left join compared_hours c on c.hour = s.hour
     where s.ticks > b.ticks + b.withdrawn or c.speed_ticks <> s.ticks
     union
     select hour from archive_hours where status = 'incomplete' and hour < $1)
select hour
from missing left join archive_hours a using (hour)
where a.listed_at is null or a.listed_at < now() - interval '1 hour'
order by a.listed_at nulls first, hour desc
limit $3
