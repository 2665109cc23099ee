-- Keeps an hour stale of which objects are not merged yet. $1: the hour.
update stale_hours s set (replaced, reread) = (false, false)
where s.hour = $1
  and exists (select from archive_object_hours h join archive_objects o using (key)
              where h.hour = $1 and not h.merged and not o.gone)
