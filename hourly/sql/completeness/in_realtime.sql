-- Where realtime_stock has some offsets, in an hour. $1: the hour, $2: the offsets.
select distinct s.topic, r.kafka_partition, r.kafka_offset
from realtime_stock r left join kafka_sources s using (source)
where r.timestamp >= $1 and r.timestamp < $1 + interval '1 hour' and r.kafka_offset = any ($2)
