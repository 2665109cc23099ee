-- How many ticks folders have. $1: the folders.
select folder, sum(ticks)::bigint
from archive_objects join archive_object_hours using (key)
where folder = any ($1) and not gone group by folder
