-- Notes of objects that were about to be deleted that they are. $1: their keys.
update covered_objects set deleted_at = now()
where key = any ($1) and (deleted_at is null or noted_at > deleted_at)
