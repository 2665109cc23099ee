-- An hour all of whose objects are merged is not stale any more. $1: the hour.
delete from stale_hours
where hour = $1
  and not exists (select from archive_object_hours h join archive_objects o using (key)
                  where h.hour = $1 and not h.merged and not o.gone)
