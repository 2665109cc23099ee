-- What the sums of hours have of some objects. $1: their keys.
select key, hour, summed, summed_places
from archive_object_hours
where key = any ($1) and summed is not null
