-- Objects below folders of which an hour was computed from another place than one. $1: the folders,
-- each with `/` at its end, $2: the place, $3: those that were gone as well.
select f.folder, o.key, o.etag, o.size, e.location
from unnest($1::text[]) as f (folder)
         cross join lateral (select * from archive_objects o
                             where o.key >= f.folder and o.key < left(f.folder, -1) || '0'
                             offset 0) as o
         cross join lateral (select b.location
                             from archive_object_hours h join batch_hours b using (hour)
                             where h.key = o.key and b.location not in ('', $2)
                             order by hour desc limit 1) as e
where not o.gone or $3
order by f.folder, o.key
