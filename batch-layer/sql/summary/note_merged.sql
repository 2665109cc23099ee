-- Notes that an hour's sums have its objects as they are. $1: the hour, $2: their keys, or null for
-- all, $3: keys of those of whose known records the sums keep what an earlier version told.
update archive_object_hours h
set (merged, summed, summed_places, summed_ticks, summed_placeless,
     offsets)
        = (true, case when h.key = any ($3) then h.summed else h.fingerprint end, h.places,
           h.ticks, h.placeless, null)
from archive_objects o
where h.hour = $1 and ($2::text[] is null or h.key = any ($2)) and o.key = h.key and not o.gone
