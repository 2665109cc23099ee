-- What an object that is there holds of each hour. $1: its key, $2: its etag.
select h.hour, h.content_hash
from archive_object_hours h join archive_objects o using (key)
where key = $1 and o.etag = $2 and not o.gone and h.ticks > 0
order by h.hour
