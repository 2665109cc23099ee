-- The objects that count. $1: how their keys begin, $2 and $3: from when to when.
select key, source, hour, computed_at, coalesce(etag, '') as etag, size, rows, checksum, digest
from lake_objects
where state = 'verified' and starts_with(key, $1) and hour >= $2 and hour < $3
order by key
