-- Notes objects that were deleted before their time, where sums have them or an earlier version of
-- them, or lack them still, and counts them; without those that another one holds the same as. Of
-- those whose hour is still to be written the time has not come, however old they are. $1: their
-- keys, $2: since when objects are kept.
with deleted as
    (insert into deleted_objects (hour, key)
     select h.hour, key
     from archive_object_hours h join archive_objects o using (key)
     where key = any ($1) and (h.summed_content_hash is not null or h.ticks > 0) and not o.gone
       and (o.last_modified > $2
            or (h.summed_content_hash is null or not h.merged)
               and exists (select from stale_hours s where s.hour = h.hour and s.wanted))
       and not exists (select from covered_objects c where c.key = o.key)
       -- Where they tell offsets, its records are the same ones.
       and not exists (select from archive_object_hours t join archive_objects a on a.key = t.key
                       where t.hour = h.hour and t.key <> all ($1)
                         and t.content_hash = coalesce(h.summed_content_hash, h.content_hash)
                         and case when h.summed_content_hash is null then not o.lacks_offsets
                                  else h.summed_without_offsets = 0 end
                         and not a.gone and not a.lacks_offsets)
     on conflict do nothing
     returning key)
select count(distinct key) from deleted
