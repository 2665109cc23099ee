-- Partition and offset of each row, and whether it is a tick. $1: the topic.
select kafka_partition, kafka_offset, true as is_tick from realtime_stock
union all
select kafka_partition, kafka_offset, false
from rejected_ticks join kafka_sources using (source)
where topic = $1
order by kafka_partition, kafka_offset
