-- The ticks of the minute bars. $1: ticks of each bar.
insert into realtime_stock
select symbol, minute + number * interval '1 second', open, high, low, close, 100, 0, 1, 0, 0
from minute_bars, generate_series(0, $1::bigint - 1) as number
