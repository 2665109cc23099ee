-- The hours before a window that batch-layer has computed from objects in some folders. $1: the
-- folders, $2: where the window begins.
select distinct h.hour
from archive_objects o
         join archive_object_hours h using (key)
         join batch_hours b on b.hour = h.hour
where o.folder = any ($1) and not o.gone and h.hour < $2
order by 1
