-- Marks hours that objects have touched. $1: the hours, $2: whether they must not wait for a
-- window.
insert into stale_hours (hour, wanted, replaced)
select hour, bool_or(wanted), false
from unnest($1::timestamptz[], $2::bool[]) as touched (hour, wanted)
group by hour
on conflict (hour) do update set wanted = stale_hours.wanted or excluded.wanted
