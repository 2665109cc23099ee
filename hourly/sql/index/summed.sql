-- What the sums of hours have of some objects, and the content hash of the version that was taken
-- in. $1: their keys.
select key, hour, summed_content_hash, summed_offsets_hash, coalesce(summed_ticks, 0),
       coalesce(summed_without_offsets, 0),
       case when merged then content_hash else summed_content_hash end
from archive_object_hours
where key = any ($1) and summed_content_hash is not null
