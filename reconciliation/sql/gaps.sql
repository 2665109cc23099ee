-- The gaps of a topic, each with when it was created again since. $1: consumer groups, $2: topic.
select partition, from_offset, to_offset,
       (select min(later.first_seen_at)
        from kafka_sources own
                 join kafka_sources later
                 on later.topic = own.topic and later.first_seen_at > own.first_seen_at
        where own.source = gap.source and later.group_id = any ($1))
from ingest_gaps gap
where group_id = any ($1) and topic = $2 and from_offset < to_offset
