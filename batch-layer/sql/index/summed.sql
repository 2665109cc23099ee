-- What the sums of hours have of some objects. $1: their keys.
select key, hour, summed, summed_places, coalesce(summed_placeless, 0)
from archive_object_hours
where key = any ($1) and summed is not null
