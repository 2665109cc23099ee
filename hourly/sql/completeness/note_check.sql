-- Notes that the archive was looked at. $1: for how many seconds it may be behind.
insert into archive_lag_check (allowed_seconds) values ($1)
on conflict (is_the_only_row) do update
    set (allowed_seconds, checked_at) = (excluded.allowed_seconds, now())
