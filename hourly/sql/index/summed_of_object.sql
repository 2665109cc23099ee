-- The ticks of an object in hours whose sums have it, or an earlier version of it, and how it was
-- read. $1: its key.
select h.hour, h.ticks, o.decode_rules
from archive_object_hours h join archive_objects o using (key)
where key = $1 and h.summed_content_hash is not null
