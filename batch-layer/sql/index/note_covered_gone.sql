-- Notes that objects which the lake stands for are deleted. $1: their keys.
update covered_objects set deleted_at = coalesce(deleted_at, now())
where key = any ($1)
  and exists (select from archive_objects o where o.key = covered_objects.key and not o.gone)
