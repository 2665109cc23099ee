-- Forgets objects of an hour that are gone, and of which no sums have anything. $1: the hour.
delete from archive_objects o
using archive_object_hours of_hour
where of_hour.hour = $1 and of_hour.key = o.key and o.gone
  and not exists (select from archive_object_hours h where h.key = o.key
                                                             and h.summed_content_hash is not null)
  and not exists (select from deleted_objects d where d.key = o.key)
