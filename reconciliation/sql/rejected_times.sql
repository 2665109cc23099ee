-- When Kafka took rejected messages, by offset. $1: topic, $2: partition, $3 and $4: first and last
-- offset.
select distinct on (kafka_offset) kafka_offset, kafka_timestamp from rejected_ticks
where source in (select source from kafka_sources where topic = $1)
  and kafka_partition = $2 and kafka_offset between $3 and $4 and kafka_timestamp is not null
order by kafka_offset, source desc
