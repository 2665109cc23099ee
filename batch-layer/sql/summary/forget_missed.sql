-- Forgets that objects were deleted, now that an hour's sums are of what is there; not those of
-- which they have never had anything, unless a person says so. $1: the hour, $2: whether one does.
delete from deleted_objects d
where d.hour = $1
  and ($2 or not exists (select from archive_object_hours h join archive_objects o using (key)
                         where h.hour = d.hour and h.key = d.key and h.summed is null and o.gone))
