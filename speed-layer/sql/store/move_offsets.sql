-- Moves the offsets of partitions. $1: sources, $2: their partitions, $3: the next offsets.
update kafka_offsets o set next_offset = moved.next_offset, updated_at = now()
from unnest($1::smallint[], $2::integer[], $3::bigint[]) as moved (source, partition, next_offset)
where o.source = moved.source and o.partition = moved.partition
