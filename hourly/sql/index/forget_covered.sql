-- Forgets that the lake stands for objects which are there again, with all of their ticks: they are
-- gone no longer. $1: their keys.
with forgotten as
    (delete from covered_objects c
     where key = any ($1)
       and ticks <= (select coalesce(sum(h.ticks), 0)
                     from archive_object_hours h where h.key = c.key)
     returning key, hours, deleted_at),
back as
    (select h.hour, count(*) as objects
     from forgotten f join archive_object_hours h on h.key = f.key and h.hour = any (f.hours)
     where f.deleted_at is not null and h.ticks > 0
     group by h.hour)
update batch_hours b
set (gone_objects, objects) = (b.gone_objects - least(back.objects, b.gone_objects),
                               b.objects - least(back.objects, b.gone_objects))
from back
where back.hour = b.hour
