-- The days of symbols, in order. $1 and $2: the symbols, and behind when.
select s.symbol, date_trunc('day', hour, time_zone) as start, max(high)::float8 as high,
       min(low)::float8 as low, ((array_agg(close order by hour desc))[1])::float8 as close,
       case when count(volume) = count(*) then sum(volume) end::float8 as volume,
       case when count(volume) = count(*)
           then sum(vwap * volume) / nullif(sum(volume), 0) end::float8 as vwap
from unnest($1::text[], $2::timestamptz[]) as asked (symbol, at)
         join hourly_stock_summary s on s.symbol = asked.symbol
             and s.hour > coalesce(asked.at, '-infinity'),
     exchange
where date_trunc('day', hour, time_zone) > coalesce(asked.at, '-infinity')
group by 1, 2
order by 1, 2
