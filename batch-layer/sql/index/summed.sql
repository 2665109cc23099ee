-- What the sums of hours have of some objects, and the fingerprint of the version that was taken
-- in. $1: their keys.
select key, hour, summed, summed_places, coalesce(summed_ticks, 0),
       coalesce(summed_placeless, 0),
       case when merged then fingerprint else summed end
from archive_object_hours
where key = any ($1) and summed is not null
