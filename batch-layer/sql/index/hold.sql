-- Holds hours back because of a broken object, also those that an earlier version of it has
-- touched. $1: the hours, $2: its key.
insert into held_hours (hour, key)
select hour, $2 from unnest($1::timestamptz[]) as hour
union
select hour, $2 from archive_object_hours where key = $2
on conflict do nothing
