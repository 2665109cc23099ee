-- Hour bars, of the minute bars.
insert into hour_bars
select symbol, date_trunc('hour', minute, 'UTC'),
       (array_agg(open order by minute))[1], max(high), min(low),
       (array_agg(close order by minute desc))[1],
       sum(volume), sum(ticks), sum(sum_close), sum(notional),
       min(minute), 0, 0, max(minute) + interval '59 seconds', 0, 1
from minute_bars
group by 1, 2
order by 2, 1
