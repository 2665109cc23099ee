-- Holds hours back because of a broken object, also those that an earlier version of it has
-- touched; of one that was gone, if their sums have something of it. $1: the hours, $2: its key.
insert into blocked_hours (hour, key)
select hour, $2 from unnest($1::timestamptz[]) as hour
union
select h.hour, key
from archive_object_hours h join archive_objects o using (key)
where key = $2 and (not o.gone or h.summed_content_hash is not null)
on conflict do nothing
