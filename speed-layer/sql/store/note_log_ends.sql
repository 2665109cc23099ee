-- Notes where the logs of partitions were seen to end before their offsets, which must be locked.
-- $1: sources, $2: their partitions, $3: the ends.
update kafka_offsets o set log_end = least(o.log_end, seen.log_end)
from (select * from unnest($1::smallint[], $2::integer[], $3::bigint[])
                 as seen (source, partition, log_end)) as seen
where o.source = seen.source and o.partition = seen.partition
  and o.log_end is distinct from least(o.log_end, seen.log_end)
