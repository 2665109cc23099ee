-- Every message in the tables: its topic, how often that was made anew before, partition, offset,
-- and the volume of a tick.
with sources as
    (select source, topic, row_number() over (partition by topic order by source) - 1 as edition
     from kafka_sources)
select topic, edition, kafka_partition, kafka_offset, volume::bigint
from realtime_stock join sources using (source)
union all
select topic, edition, kafka_partition, kafka_offset, null
from rejected_ticks join sources using (source)
