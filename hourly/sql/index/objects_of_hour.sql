-- The objects that hold ticks of an hour, by key. $1: the hour.
select o.key, o.etag, o.size, o.last_modified, o.folder, o.decode_rules, o.lacks_offsets, o.lines,
       h.merged, h.ticks, h.first_at, h.last_at, h.summed_content_hash, h.summed_offsets_hash,
       h.summed_ticks, h.summed_without_offsets
from archive_object_hours h join archive_objects o using (key)
where h.hour = $1 and not o.gone and h.ticks > 0
order by o.key collate "C"
