-- The stretches of hours that are done, or that a run is at work on.
select first_hour, is_done from batch_stretches
where is_done or token in (select token from batch_lock)
