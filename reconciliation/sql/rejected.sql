-- The places of rejected ticks, as common::Place::number. $1: topic, $2: partition, $3 and
-- $4: first and last offset.
select kafka_offset | (kafka_index::bigint << 48) from rejected_ticks
where source in (select source from kafka_sources where topic = $1)
  and kafka_partition = $2 and kafka_offset between $3 and $4
