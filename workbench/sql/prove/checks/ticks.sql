-- Ticks that differ from what was sent.
select format('%s/%s is %s, sent was %s', kafka_partition, kafka_offset,
              (t.symbol, t.timestamp, t.open, t.high, t.low, t.close, t.volume)::text,
              (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)::text)
from sent s join realtime_stock t using (kafka_partition, kafka_offset)
where (t.symbol, t.timestamp, t.open, t.high, t.low, t.close, t.volume)
      is distinct from (s.symbol, s.timestamp, s.open, s.high, s.low, s.close, s.volume)
  and coalesce(s.fate, 'tick') = 'tick'
