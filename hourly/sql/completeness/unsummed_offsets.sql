-- The offsets of objects that were read, and that no sums have yet. Their hours are stale.
select h.offsets
from stale_hours s join archive_object_hours h using (hour) join archive_objects o using (key)
where h.offsets is not null and not o.gone
