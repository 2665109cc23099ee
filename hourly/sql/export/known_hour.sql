-- What is known of an hour. $1: the hour.
select b.ticks, b.computed_at, coalesce(b.gone_objects, 0) > 0 as has_expired,
       coalesce(b.location, '') as location,
       exists (select from stale_hours s where s.hour = h.hour) as is_stale,
       coalesce((select a.reason from archive_hours a
                 where a.hour = h.hour and a.status = 'incomplete' and not a.is_by_offsets),
                (select 'an object cannot be read: ' || min(key) from blocked_hours e
                 where e.hour = h.hour)) as lack
from (select $1::timestamptz as hour) h left join batch_hours b using (hour)
