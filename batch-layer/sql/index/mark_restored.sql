-- Marks the hours of objects that are there again. $1: their keys, $2: whether they must not wait
-- for a window.
insert into stale_hours (hour, wanted, replaced)
select distinct hour, $2::bool, false from archive_object_hours where key = any ($1) and not merged
on conflict (hour) do update set wanted = stale_hours.wanted or excluded.wanted
