-- The offsets of a partition that realtime_stock has in whatever hour. $1: partition, $2 and $3:
-- first and last offset, $4: sources, or null for all.
select kafka_offset from realtime_stock
where kafka_partition = $1 and kafka_offset between $2 and $3
  and ($4::smallint[] is null or source = any ($4))
