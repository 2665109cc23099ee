-- Minute bars that differ from an aggregate of realtime_stock.
with plain as
    (select symbol,
            date_trunc('minute', timestamp, 'UTC') as minute,
            (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1] as open,
            max(greatest(open, close, high)) as high,
            min(least(open, close, low)) as low,
            (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1]
                as close,
            case when count(volume) = count(*) then sum(volume) end as volume,
            count(*) as ticks,
            sum(close) as sum_close,
            case when count(volume) = count(*) then sum(close * volume) end as notional,
            (array_agg((timestamp, kafka_partition, kafka_offset)::text
                       order by timestamp, kafka_partition, kafka_offset))[1] as first,
            (array_agg((timestamp, kafka_partition, kafka_offset)::text
                       order by timestamp desc, kafka_partition desc, kafka_offset desc))[1] as last
     from realtime_stock
     group by symbol, date_trunc('minute', timestamp, 'UTC')),
     bars as
    (select *,
            (first_timestamp, first_partition, first_offset)::text as first,
            (last_timestamp, last_partition, last_offset)::text as last
     from minute_bars)
select format('%s %s is %s, should be %s', symbol, minute,
              (b.open, b.high, b.low, b.close, b.volume, b.ticks, b.sum_close, b.notional,
               b.first, b.last)::text,
              (p.open, p.high, p.low, p.close, p.volume, p.ticks, p.sum_close, p.notional,
               p.first, p.last)::text)
from plain p full join bars b using (symbol, minute)
where (b.open, b.high, b.low, b.close, b.volume, b.ticks, b.sum_close, b.notional,
       b.first, b.last)
      is distinct from (p.open, p.high, p.low, p.close, p.volume, p.ticks, p.sum_close, p.notional,
                        p.first, p.last)
