-- Counts objects as gone from the hours that have them. $1: their keys.
update batch_hours b
set gone_objects = b.gone_objects + gone.objects
from (select hour, count(*) as objects
      from archive_object_hours
               join archive_objects using (key)
               left join stale_hours using (hour)
      -- One that had taken another's place and was not computed yet may have held all of its
      -- records.
      where key = any ($1) and not archive_objects.gone and (merged or coalesce(replaced, false))
      group by hour) as gone
where gone.hour = b.hour
