-- Counts objects that are there again no longer as gone. $1: their keys.
update batch_hours b
set gone_objects = greatest(b.gone_objects - back.objects, 0)
from (select h.hour, count(*) as objects
      from archive_objects o join archive_object_hours h using (key)
      where o.key = any ($1) and o.gone and h.summed is not null
      group by h.hour) as back
where back.hour = b.hour
