-- Marks the hours whose sums have something of objects that are there and do not count any more.
-- $1: their keys.
insert into stale_hours (hour, wanted, replaced)
select distinct hour, false, true
from archive_object_hours where key = any ($1) and summed_content_hash is not null
on conflict (hour) do update set replaced = true
