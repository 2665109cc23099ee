-- The hour's rows, as text.
select concat_ws(' ', symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap,
                 ticks)
from hourly_stock_summary
order by hour, symbol
