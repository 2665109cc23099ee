-- Of how many hours objects are gone before the sums had anything of them. $1: their keys.
select count(distinct hour)
from archive_object_hours join archive_objects using (key)
where key = any ($1) and not gone and summed_content_hash is null
