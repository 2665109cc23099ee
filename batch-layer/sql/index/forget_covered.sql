-- Forgets that the lake stands for objects which are there again, with all of their ticks. Those
-- that are as they were when they were deleted are gone no longer. $1: their keys.
with forgotten as
    (delete from covered_objects c
     where key = any ($1)
       and ticks <= (select coalesce(sum(h.ticks), 0)
                     from archive_object_hours h where h.key = c.key)
     returning key, etag, size, hours, deleted_at),
back as
    (select hour, count(*) as objects
     from forgotten f join archive_objects o using (key) cross join unnest(f.hours) as hour
     where f.deleted_at is not null and o.etag = f.etag and o.size = f.size
     group by hour)
update batch_hours b
set (gone_objects, objects) = (b.gone_objects - least(back.objects, b.gone_objects),
                               b.objects - least(back.objects, b.gone_objects))
from back
where back.hour = b.hour
