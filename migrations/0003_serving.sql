-- What people and dashboards read.

-- Minute bars ready to plot.
create view minute_stock as
select symbol,
       minute,
       open,
       high,
       low,
       close,
       volume,
       notional / nullif(volume, 0) as vwap,
       ticks
from minute_bars;

-- For each symbol and hour the side that has seen more ticks; the batch layer wins a tie. So a late tick, a missed
-- batch run or purged real-time data never hides the better number.
create view hourly_stock as
with speed as (select symbol,
                      date_trunc('hour', minute, 'UTC')                                          as hour,
                      sum(sum_close) / sum(ticks)                                                as avg_close,
                      sum(volume) / sum(ticks)                                                   as avg_volume,
                      (array_agg(open order by first_timestamp, first_partition, first_offset))[1] as open,
                      max(high)                                                                  as high,
                      min(low)                                                                   as low,
                      (array_agg(close order by last_timestamp desc, last_partition desc, last_offset desc))[1] as close,
                      sum(volume)                                                                as volume,
                      sum(notional) / nullif(sum(volume), 0)                                     as vwap,
                      sum(ticks)::bigint                                                         as ticks
               from minute_bars
               group by symbol, date_trunc('hour', minute, 'UTC'))
select symbol,
       hour,
       case when batch_wins then b.avg_close else s.avg_close end   as avg_close,
       case when batch_wins then b.avg_volume else s.avg_volume end as avg_volume,
       case when batch_wins then b.open else s.open end             as open,
       case when batch_wins then b.high else s.high end             as high,
       case when batch_wins then b.low else s.low end               as low,
       case when batch_wins then b.close else s.close end           as close,
       case when batch_wins then b.volume else s.volume end         as volume,
       case when batch_wins then b.vwap else s.vwap end             as vwap,
       case when batch_wins then b.ticks else s.ticks end           as ticks,
       case when batch_wins then 'batch' else 'speed' end           as source,
       coalesce(b.ticks, 0)                                         as batch_ticks,
       coalesce(s.ticks, 0)                                         as speed_ticks
from hourly_stock_summary b
         full join speed s using (symbol, hour)
         cross join lateral (select coalesce(b.ticks, 0) >= coalesce(s.ticks, 0) as batch_wins) as choice;
