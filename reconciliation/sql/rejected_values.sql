-- Rejected ticks that were kept whole, by place (common::Place::number). $1: topic, $2: partition,
-- $3: offsets.
select kafka_offset | (kafka_index::bigint << 48), value from rejected_ticks
where source in (select source from kafka_sources where topic = $1)
  and kafka_partition = $2 and kafka_offset = any ($3) and length(value) = value_bytes
