-- Those of some folders below which objects are known. $1: the folders, each with `/` at its end.
select f.folder
from unnest($1::text[]) as f (folder)
         cross join lateral (select from archive_objects o
                             where o.key >= f.folder and o.key < left(f.folder, -1) || '0'
                             limit 1) as known
