-- The ticks of an object by hour; of one that is gone, those of hours whose sums have something of
-- it, or lack it. $1: its key.
select h.hour, h.ticks
from archive_object_hours h join archive_objects o using (key)
where key = $1 and (not o.gone or h.summed_content_hash is not null
                   or exists (select from deleted_objects d where d.key = h.key and d.hour = h.hour))
