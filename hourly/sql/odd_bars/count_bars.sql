-- How many bars symbols have, in their order. $1, $2 and $3: the symbols, from when and until when.
select (select count(*)
        from hourly_stock_summary s
        where s.symbol = asked.symbol and s.hour >= asked.since and s.hour < asked.until)
from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) with ordinality
         as asked (symbol, since, until, number)
order by number
