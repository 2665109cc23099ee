-- Objects that were deleted before the sums of an hour had anything of them, by hour and key, with
-- what they held of it, and whether the sums have the same of another one; without those that a
-- person has accepted.
select d.hour, d.key, h.ticks, h.offsets, o.lines, o.lacks_offsets,
       exists (select from archive_object_hours t
               where t.hour = h.hour and t.key <> h.key
                 and case when o.lacks_offsets then t.summed_content_hash = h.content_hash
                          else t.summed_offsets_hash = h.offsets_hash
                               and t.summed_without_offsets = 0 end)
           as is_elsewhere
from deleted_objects d join archive_object_hours h using (hour, key) join archive_objects o using (key)
where not d.is_accepted and h.summed_content_hash is null and o.gone
order by d.hour, d.key collate "C"
