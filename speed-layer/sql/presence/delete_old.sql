-- Marks of instances that ended long ago.
delete from speed_instances where seen_at < clock_timestamp() - interval '1 day'
