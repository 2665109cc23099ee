-- Notes objects that were deleted before their time, where sums have them or an earlier version of
-- them, and counts them. $1: their keys, $2: since when objects are kept.
with deleted as
    (insert into deleted_objects (hour, key)
     select h.hour, key
     from archive_object_hours h join archive_objects o using (key)
     where key = any ($1) and h.summed is not null and not o.gone
       and o.last_modified > $2
       and not exists (select from covered_objects c where c.key = o.key)
     on conflict do nothing
     returning key)
select count(distinct key) from deleted
