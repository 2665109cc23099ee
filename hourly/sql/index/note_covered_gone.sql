-- Notes that objects which the lake stands for are deleted. $1: their keys.
update covered_objects
set deleted_at = case when noted_at <= deleted_at then deleted_at else now() end
where key = any ($1)
  and exists (select from archive_objects o where o.key = covered_objects.key and not o.gone)
