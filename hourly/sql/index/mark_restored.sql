-- Marks the hours of objects that are there again. $1: their keys, $2: whether they must not wait
-- for a window. Of those that hold nothing of an hour its sums have an earlier version.
insert into stale_hours (hour, wanted, replaced)
select hour, $2::bool, bool_or(ticks = 0)
from archive_object_hours where key = any ($1) and not merged
group by hour
on conflict (hour) do update
    set (wanted, replaced)
        = (stale_hours.wanted or excluded.wanted, stale_hours.replaced or excluded.replaced)
