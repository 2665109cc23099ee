-- The places of realtime_stock, 64 offsets to a row. $1 and $2: from when to when.
select source, kafka_partition, kafka_index, kafka_offset >> 6 as block,
       bit_or(1::bigint << (kafka_offset & 63)::integer) as bits
from realtime_stock
where timestamp >= $1 and timestamp < $2
group by source, kafka_partition, kafka_index, kafka_offset >> 6
