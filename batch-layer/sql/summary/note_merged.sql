-- Notes that an hour's sums have its objects as they are. $1: the hour, $2: their keys, or null for
-- all.
update archive_object_hours h
set (merged, summed, summed_places, summed_placeless)
        = (true, h.fingerprint, h.places, case when o.placeless then h.ticks else 0 end)
from archive_objects o
where h.hour = $1 and ($2::text[] is null or h.key = any ($2)) and o.key = h.key and not o.gone
