-- The objects below a folder that need not be read. $1: the folder, with `/` at its end, $2 and $3:
-- from when to when, $4: the hours that the lake has.
select o.key
from archive_objects o join archive_object_hours h using (key)
where o.key >= $1 and o.key < left($1, -1) || '0' and h.hour >= $2 and h.hour < $3
group by o.key
having bool_and(h.hour = any ($4))
