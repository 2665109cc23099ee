-- Forgets where logs ended before the offsets, which must be locked: the gaps are recorded, and the
-- offsets moved past them. $1: sources, $2: their partitions, $3: the next offsets.
update kafka_offsets o set log_end = null
from (select * from unnest($1::smallint[], $2::integer[], $3::bigint[])
                 as passed (source, partition, next_offset)) as passed
where o.source = passed.source and o.partition = passed.partition and o.log_end is not null
