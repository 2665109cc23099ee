-- How many hours symbols have, in their order. $1 and $2: the symbols, and behind when.
select (select count(*)
        from hourly_stock_summary s
        where s.symbol = asked.symbol and s.hour > coalesce(asked.at, '-infinity'))
from unnest($1::text[], $2::timestamptz[]) with ordinality as asked (symbol, at, number)
order by number
