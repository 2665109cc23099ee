-- The hours of symbols, in order. $1 and $2: the symbols, and behind when.
select s.symbol, hour as start, high::float8, low::float8, close::float8, volume::float8,
       vwap::float8
from unnest($1::text[], $2::timestamptz[]) as asked (symbol, at)
         join hourly_stock_summary s on s.symbol = asked.symbol
             and s.hour > coalesce(asked.at, '-infinity')
order by s.symbol, hour
