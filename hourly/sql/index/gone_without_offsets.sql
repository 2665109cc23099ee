-- The objects without offsets that are in an hour's sums, and are gone. $1: the hour.
select o.key, o.lines, h.summed_without_offsets, h.summed_without_offsets < h.summed_ticks
from archive_object_hours h join archive_objects o using (key)
where h.hour = $1 and h.summed_without_offsets > 0 and o.gone
order by o.key collate "C"
