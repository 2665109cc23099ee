-- How many ticks of an hour's sums do not tell their offset, by the objects that they are of. $1:
-- the hour.
select coalesce(sum(summed_without_offsets), 0)::bigint
from archive_object_hours
where hour = $1 and summed_content_hash is not null
