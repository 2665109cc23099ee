-- The hours before a window that batch-layer has computed from objects below some folders. $1: the
-- folders, each with `/` at its end, $2: where the window begins.
select distinct h.hour
from unnest($1::text[]) as f (folder)
         cross join lateral (select * from archive_objects o
                             where o.key >= f.folder and o.key < left(f.folder, -1) || '0'
                               and not o.gone
                             offset 0) as o
         cross join lateral (select * from archive_object_hours h
                             where h.key = o.key and h.hour < $2
                             offset 0) as h
         join batch_hours b on b.hour = h.hour
order by 1
