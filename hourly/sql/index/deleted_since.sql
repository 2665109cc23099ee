-- How many objects were deleted before their time since a run began, without those of which other
-- objects have been found to hold all, and the first of them. $1: the run, $2: since when objects
-- are kept.
select count(distinct d.key), min(d.key)
from deleted_objects d join batch_runs r on d.deleted_at >= r.started_at
                       join archive_objects o using (key)
where r.run_id = $1 and not d.is_accepted and o.last_modified > $2
