-- The bars of symbols, in order. $1, $2 and $3: the symbols, from when and until when.
select asked.number, extract(epoch from hour)::bigint as at, low::float8, high::float8,
       close::float8, volume::float8
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) with ordinality
         as asked (symbol, since, until, number)
         join hourly_stock_summary s
              on s.symbol = asked.symbol and s.hour >= asked.since and s.hour < asked.until
order by asked.number, hour
