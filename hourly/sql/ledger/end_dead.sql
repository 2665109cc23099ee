-- Ends the rows of runs that have lost the lock without a word.
update batch_runs r
set (status, finished_at, error)
    = ('failed', now(), 'the process ended without a word, or was not heard of for too long')
where status = 'running' and not exists (select from batch_lock l where l.token = r.token)
