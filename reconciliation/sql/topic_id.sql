-- The id of a topic as it was made last. $1: the topic.
select topic_id from kafka_sources
where topic = $1 order by first_seen_at desc, source desc limit 1
