-- Ranges of offsets that were rejected, or that Kafka had lost. $1: topic, or '' for each, $2:
-- partition, $3: first offset, $4: the one after the last.
with sources as (select source from kafka_sources where topic = $1 or $1 = '')
select kafka_offset, kafka_offset + 1 from rejected_ticks join sources using (source)
where kafka_partition = $2 and kafka_offset >= $3 and kafka_offset < $4
union
select greatest(from_offset, $3), least(to_offset, $4) from kafka_gaps join sources using (source)
where partition = $2 and to_offset > $3 and from_offset < $4 and to_offset > from_offset
