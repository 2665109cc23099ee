-- The offsets of a partition that realtime_stock has in an hour. $1 and $2: where it begins and
-- ends, $3: partition, $4 and $5: first and last offset, $6: sources, or null for all.
select kafka_offset from realtime_stock
where timestamp >= $1 and timestamp < $2 and kafka_partition = $3 and kafka_offset between $4 and $5
  and ($6::smallint[] is null or source = any ($6))
