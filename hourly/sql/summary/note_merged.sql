-- Notes that an hour's sums have its objects as they are. $1: the hour, $2: their keys, or null for
-- all, $3: keys of those of whose known records the sums keep what an earlier version told.
update archive_object_hours h
set (merged, summed_content_hash, summed_offsets_hash, summed_ticks, summed_without_offsets,
     offsets)
        = (true, case when h.key = any ($3) then h.summed_content_hash else h.content_hash end,
           h.offsets_hash, h.ticks, h.without_offsets, null)
from archive_objects o
where h.hour = $1 and ($2::text[] is null or h.key = any ($2)) and o.key = h.key and not o.gone
