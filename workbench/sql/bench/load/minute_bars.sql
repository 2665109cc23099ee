-- Minute bars of so many days, each ending at the present time of day. $1: days, $2: symbols,
-- $3: ticks of each bar.
insert into minute_bars
select 'S' || to_char(s, 'FM000'), minute, p, p + 1, p - 1, p + 0.25,
       100 * $3::bigint, $3::bigint, p * $3::bigint, p * 100 * $3::bigint,
       minute, 0, 0, minute + interval '59 seconds', 0, 1
from generate_series($1::integer - 1, 0, -1) as day,
     generate_series(date_trunc('minute', now()) - make_interval(days => day, mins => 389),
                     date_trunc('minute', now()) - make_interval(days => day),
                     '1 minute') as minute,
     generate_series(1, $2::integer) as s,
     lateral (select 50 + s
                     + round((10 * sin(day + s + extract(epoch from minute) / 9000))::numeric, 2)
                     as p) as price
-- As a market writes them, so that a span of time lies together.
order by minute, s
