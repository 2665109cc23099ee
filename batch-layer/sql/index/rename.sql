-- Renames objects. $1 and $2: their old and new keys.
update archive_objects o set key = renamed.new
from unnest($1::text[], $2::text[]) as renamed (old, new)
where o.key = renamed.old
