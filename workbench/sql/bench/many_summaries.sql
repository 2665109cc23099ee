-- Summaries of seven hours a day. $1: days, $2: symbols.
insert into hourly_stock_summary
    (symbol, hour, avg_close, avg_volume, open, high, low, close, volume, vwap, ticks)
select 'S' || s,
       timestamptz '2025-06-06T13:00Z' - make_interval(days => day) + make_interval(hours => hour),
       p, 10, p, p + 1, p - 1, p + 0.25, 100, p, 10
from generate_series($1::integer - 1, 0, -1) as day,
     generate_series(0, 6) as hour,
     generate_series(1, $2::integer) as s,
     lateral (select 50 + s + round((10 * sin(day + s + hour))::numeric, 2) as p) as price
