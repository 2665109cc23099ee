-- Marked symbols, which nobody can mark again until the transaction ends. $1: how many at most.
select symbol, hour, date_trunc('day', hour, time_zone) as day
from stale_indicators, exchange
order by symbol
limit $1
for update of stale_indicators for share of exchange
