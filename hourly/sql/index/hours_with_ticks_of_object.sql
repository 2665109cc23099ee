-- The hours of which an object that is there held ticks when it was read last. $1: its key.
select h.hour
from archive_object_hours h join archive_objects o using (key)
where key = $1 and not o.gone and h.ticks > 0
