-- Forgets that objects were deleted, now that an hour's sums are of what is there; not those of
-- which they have never had anything, unless a person says so. $1: the hour, $2: whether one does.
delete from deleted_objects d
where d.hour = $1
  and ($2 or exists (select from archive_object_hours h
                     where h.hour = d.hour and h.key = d.key and h.summed_content_hash is not null))
