-- Forgets that objects were deleted which are there again, and in an hour's sums. $1: the hour.
delete from deleted_objects d
using archive_object_hours h join archive_objects o using (key)
where d.hour = $1 and h.key = d.key and h.hour = d.hour and h.merged and not o.gone
