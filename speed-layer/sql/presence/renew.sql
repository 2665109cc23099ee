-- Renews the mark of an instance. $1: its client id.
insert into speed_instances (client_id) values ($1)
on conflict (client_id) do update set seen_at = clock_timestamp()
