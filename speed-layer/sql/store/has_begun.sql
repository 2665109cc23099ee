-- Whether the group began with a topic a while ago. $1: the group.
select exists (select from kafka_sources
               where group_id = $1 and first_seen_at < now() - interval '1 minute')
