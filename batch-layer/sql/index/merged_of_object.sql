-- The ticks that computed hours have of an object, and how it was read. $1: its key.
select h.hour, h.ticks, o.format
from archive_object_hours h join archive_objects o using (key)
where key = $1 and h.merged
