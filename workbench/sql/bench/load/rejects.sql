-- Rejected messages of the last month.
insert into rejected_ticks
    (source, kafka_partition, kafka_offset, reason, detail, value, rejected_at)
select 1, 0, n,
       case n % 3 when 0 then 'not_json' when 1 then 'bad_price' else 'tombstone' end,
       'why', 'no tick', now() - (100000 - n) * interval '26 seconds'
from generate_series(1, 100000) as n
