-- Ticks of the archive, each once, with as few digits as they have: the number of a quotient's
-- depends on them. What is a tick is the sender's word, or where it gave none that it was written
-- as one.
create index on sent (kafka_partition, kafka_offset);
analyze sent;
analyze archived;
create temporary table archived_ticks as
select distinct on (kafka_partition, kafka_offset)
       a.symbol, a.timestamp,
       trim_scale(a.open) as open, trim_scale(a.high) as high, trim_scale(a.low) as low,
       trim_scale(a.close) as close, trim_scale(a.volume) as volume, kafka_partition, kafka_offset
from archived a
     join sent s using (kafka_partition, kafka_offset)
where s.fate = 'tick'
   or s.fate is null and exists (select from realtime_stock t
                                 where t.kafka_partition = s.kafka_partition
                                   and t.kafka_offset = s.kafka_offset)
order by kafka_partition, kafka_offset;
analyze archived_ticks
