-- Summaries of the hours that are over, of the hour bars.
insert into hourly_stock_summary
    (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
select symbol, hour, sum_close / ticks, volume / ticks, open, high, low, close,
       volume, notional / volume, ticks
from hour_bars
where hour < date_trunc('hour', now())
order by hour, symbol
