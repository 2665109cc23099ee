-- How many bytes rejected messages have, by offset. $1: topic, $2: partition, $3 and $4: first and
-- last offset.
select kafka_offset, value_bytes from rejected_ticks
where source in (select source from kafka_sources where topic = $1)
  and kafka_partition = $2 and kafka_offset between $3 and $4 and kafka_index = 0
  and value_bytes is not null
