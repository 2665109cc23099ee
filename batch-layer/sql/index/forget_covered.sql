-- Forgets that the lake stands for objects which are there again, with all of their ticks. $1:
-- their keys.
delete from covered_objects c
where key = any ($1)
  and ticks <= (select coalesce(sum(h.ticks), 0) from archive_object_hours h where h.key = c.key)
