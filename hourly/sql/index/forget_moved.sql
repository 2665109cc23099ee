-- Forgets that objects were deleted which sums have, where others that are there hold the same of
-- the hour.
delete from deleted_objects d
using archive_object_hours h join archive_objects o using (key)
where h.hour = d.hour and h.key = d.key and o.gone and h.summed_content_hash is not null
  and h.summed_without_offsets = 0
  and exists (select from archive_object_hours t join archive_objects a on a.key = t.key
              where t.hour = h.hour and t.key <> h.key and t.merged and not a.gone
                and t.content_hash = h.summed_content_hash)
