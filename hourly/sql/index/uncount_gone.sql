-- Counts objects that are there again no longer as gone; those that the lake stands for are counted
-- until they are there with all of their ticks. $1: their keys.
update batch_hours b
set (gone_objects, objects)
        = (greatest(b.gone_objects - (back.objects - back.again), 0), b.objects + back.again)
from (select h.hour, count(*) as objects,
             count(*) filter (where exists (select from covered_objects c
                                            where c.key = h.key and c.hours @> array[h.hour]
                                              and c.deleted_at is not null)) as again
      from archive_objects o join archive_object_hours h using (key)
      where o.key = any ($1) and o.gone and h.summed_content_hash is not null
      group by h.hour) as back
where back.hour = b.hour
