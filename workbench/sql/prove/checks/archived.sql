-- Lines of the archive that differ from what was sent.
select format('%s/%s is %s, sent was %s', kafka_partition, kafka_offset,
              (a.symbol, a.timestamp, a.open, a.high, a.low, a.close, a.volume)::text,
              (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)::text)
from sent s join archived a using (kafka_partition, kafka_offset)
where s.fate = 'tick'
  and (a.symbol, a.timestamp, a.open, a.high, a.low, a.close, a.volume)
      is distinct from (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)
