-- The known objects below folders, whatever listing showed them. $1: the folders, each with `/` at
-- its end, behind which `0` comes next, $2: how this run reads objects.
select f.folder, o.key, o.etag, o.size, o.last_modified, o.rejected_lines > 0 as has_rejects,
       o.decode_rules = $2 as is_as_read, o.gone, o.lacks_offsets
from unnest($1::text[]) as f (folder)
         -- With `offset 0` each folder is a look into the index, here and in other statements.
         -- Without it each may be a look at all objects.
         cross join lateral (select * from archive_objects o
                             where o.key >= f.folder and o.key < left(f.folder, -1) || '0'
                             offset 0) as o
