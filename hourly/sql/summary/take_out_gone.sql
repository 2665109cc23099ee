-- An hour's sums do not have the objects any more that are gone, nor earlier versions of them. $1:
-- the hour.
update archive_object_hours h
set (merged, summed_content_hash, summed_offsets_hash, summed_ticks, summed_without_offsets)
        = (false, null, null, null, null)
from archive_objects o
where h.hour = $1 and h.summed_content_hash is not null and o.key = h.key and o.gone
