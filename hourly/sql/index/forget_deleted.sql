-- Forgets that objects were deleted which are there again, of the hours whose sums have what they
-- hold now. $1: their keys.
delete from deleted_objects d
using archive_object_hours h join archive_objects o using (key)
where d.key = any ($1) and h.key = d.key and h.hour = d.hour and h.merged and not o.gone
