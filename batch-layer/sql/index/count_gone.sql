-- Counts objects as gone from the hours whose sums have them, or an earlier version of them. $1:
-- their keys.
update batch_hours b
set gone_objects = b.gone_objects + gone.objects
from (select hour, count(*) as objects
      from archive_object_hours
               join archive_objects using (key)
      where key = any ($1) and not archive_objects.gone and summed is not null
      group by hour) as gone
where gone.hour = b.hour
