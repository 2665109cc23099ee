-- Keeps objects that were deleted, and those of which sums have this version, without offsets, or
-- an earlier one, so that they are known when they come back. $1: their keys.
update archive_objects o set gone = true
where key = any ($1)
  and (exists (select from deleted_objects d where d.key = o.key)
       or exists (select from archive_object_hours h
                  where h.key = o.key and h.summed_content_hash is not null
                    and (o.lacks_offsets or not h.merged)))
