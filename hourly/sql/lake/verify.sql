-- Lets an announced object count. $1: its key, $2: its etag, $3: the run that has written it.
update lake_objects set (state, etag, verified_at) = ('verified', $2, now())
where key = $1 and run_id = $3
