-- Of how many hours objects are gone before they were merged. $1: their keys.
select count(distinct hour)
from archive_object_hours join archive_objects using (key)
where key = any ($1) and not gone and not merged
