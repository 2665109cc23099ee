-- The ticks of an object in hours whose sums have nothing of it. $1: its key.
select h.hour, h.ticks
from archive_object_hours h
where key = $1 and h.summed_content_hash is null
