-- An hour's sums do not have the objects any more that are gone. $1: the hour.
update archive_object_hours h set (merged, summed, summed_places) = (false, null, null)
from archive_objects o
where h.hour = $1 and h.merged and o.key = h.key and o.gone
