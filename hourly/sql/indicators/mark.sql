-- Marks symbols whose indicators are stale from an hour on. $1: the hour, $2: the symbols.
insert into stale_indicators as known (symbol, hour)
select symbol, $1
from unnest($2::text[]) as s (symbol)
where not exists (select from stale_indicators m where m.symbol = s.symbol and m.hour <= $1)
on conflict (symbol) do update set hour = excluded.hour where excluded.hour < known.hour
