-- Ticks and volume of each summary, by symbol and hour.
select concat(symbol, ' ', to_char(hour at time zone 'UTC', 'HH24')), ticks, volume::bigint
from hourly_stock_summary
