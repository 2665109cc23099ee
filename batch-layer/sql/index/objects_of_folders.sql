-- The known objects of folders. $1: the folders, $2: how this run reads objects.
select folder, key, etag, size, last_modified, rejected_lines > 0 as has_rejects,
       format = $2 as is_as_read, gone, placeless
from archive_objects where folder = any ($1)
