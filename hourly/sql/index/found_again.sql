-- Forgets that objects were deleted. $1 and $2: the hours and the keys.
delete from deleted_objects d
using unnest($1::timestamptz[], $2::text[]) as found (hour, key)
where d.hour = found.hour and d.key = found.key
