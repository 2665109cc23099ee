-- Gives partitions that were never read their first offset. $1: sources, $2: their partitions,
-- $3: the offsets. Without the keys, which a restore makes last, it fails.
with started as
    (insert into started_partitions (source, partition)
     select * from unnest($1::smallint[], $2::integer[])
     order by 1, 2
     on conflict (source, partition) do nothing
     returning source, partition)
insert into kafka_offsets (source, partition, next_offset)
select source, partition, next_offset
from unnest($1::smallint[], $2::integer[], $3::bigint[]) as first (source, partition, next_offset)
     join started using (source, partition)
order by source, partition
on conflict (source, partition) do nothing
