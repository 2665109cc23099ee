-- The objects of a folder that need not be read. $1: the folder, $2 and $3: from when to when, $4:
-- the hours that the lake has.
select o.key
from archive_objects o join archive_object_hours h using (key)
where o.folder = $1 and h.hour >= $2 and h.hour < $3
group by o.key
having bool_and(h.hour = any ($4))
