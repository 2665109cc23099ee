-- The directories of objects that were deleted before their time. $1 and $2: from which hour of
-- their ticks on, and before which one, $3: further hours.
select distinct regexp_replace(key, '[^/]*$', '')
from deleted_objects d join archive_objects o using (key)
where (d.hour >= $1 and d.hour < $2) or d.hour = any ($3)
order by 1
