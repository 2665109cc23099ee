-- Ticks of realtime_stock. $1 and $2: from when to when, $3: sources, or null for all, $4 and $5:
-- from which symbol to which, or null for the end.
select symbol, timestamp, open, high, low, close, volume, kafka_partition, source, kafka_offset,
       kafka_index
from realtime_stock
where timestamp >= $1 and timestamp < $2 and ($3::smallint[] is null or source = any ($3))
  and symbol >= $4 and ($5::text is null or symbol < $5)
