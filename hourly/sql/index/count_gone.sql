-- Counts objects as gone from the hours whose sums have them, or an earlier version of them. One
-- that the lake stands for and that came again in part has been counted, and is there no more. $1:
-- their keys.
update batch_hours b
set (gone_objects, objects)
        = (b.gone_objects + gone.objects - least(gone.again, b.gone_objects),
           b.objects - least(gone.again, b.gone_objects))
from (select h.hour, count(*) as objects,
             count(*) filter (where exists (select from covered_objects c
                                            where c.key = h.key and c.hours @> array[h.hour]
                                              and c.deleted_at is not null)) as again
      from archive_object_hours h join archive_objects o using (key)
      where key = any ($1) and not o.gone and h.summed_content_hash is not null
      group by h.hour) as gone
where gone.hour = b.hour
