-- Locks and reads the offsets that no transaction holds at the moment, and for how many seconds
-- they have not moved. $1: sources, $2: their partitions.
select source, partition, next_offset, log_end,
       extract(epoch from clock_timestamp() - updated_at)::float8
from kafka_offsets
where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
order by source, partition for update skip locked
