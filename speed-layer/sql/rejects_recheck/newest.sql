-- The newest messages of what a group reads that are no ticks, a hundred of each partition, as far
-- as they were kept whole. $1: the group, $2: its topics; null: all of them.
select s.topic, r.value, r.kafka_timestamp
from kafka_sources s
         join kafka_offsets o using (source),
     lateral (select value, kafka_timestamp
              from rejected_ticks k
              where k.source = s.source and k.kafka_partition = o.partition
                and length(k.value) = k.value_bytes and k.reason <> 'refused_by_database'
              order by kafka_offset desc, kafka_index desc
              limit 100) as r
where s.group_id = $1 and ($2::text[] is null or s.topic = any ($2))
limit 1000
