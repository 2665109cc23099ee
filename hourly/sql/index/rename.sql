-- Renames objects, also where they were deleted, unless the new keys are known. $1 and $2: their
-- old and new keys.
with renamed as
    (select * from unnest($1::text[], $2::text[]) as renamed (old, new)
     where not exists (select from archive_objects o where o.key = renamed.new)),
deleted as
    (delete from deleted_objects d using renamed
     where d.key = renamed.old
     returning d.hour, renamed.new, d.deleted_at, d.is_accepted),
noted as
    (insert into deleted_objects (hour, key, deleted_at, is_accepted)
     select hour, new, deleted_at, is_accepted from deleted
     on conflict do nothing)
update archive_objects o set key = renamed.new
from renamed
where o.key = renamed.old
