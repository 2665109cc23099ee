-- How many indicators symbols have, in their order. $1: the symbols, $2 and $3: from when to when.
select (select count(*) from technical_indicators t
        where t.symbol = asked.symbol and t.interval in ('hour', 'day') and t.start >= $2
          and t.start < $3)
from unnest($1::text[]) with ordinality as asked (symbol, number)
order by number
