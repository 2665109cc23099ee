-- Ticks of messages that should have been rejected.
select format('%s/%s is a tick, sent was one with %s', kafka_partition, kafka_offset, s.fate)
from sent s join realtime_stock using (kafka_partition, kafka_offset)
where s.fate <> 'tick'
