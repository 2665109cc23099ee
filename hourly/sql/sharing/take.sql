-- Takes a stretch of hours, if there is one. $1: its first hour, $2: the run's token.
insert into batch_stretches (first_hour, token)
select $1, $2::uuid where $1::timestamptz is not null
on conflict (first_hour) do update set token = excluded.token
