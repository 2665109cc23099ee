-- Deletes stale states. $1 and $2: symbols, and from when they are stale, $3: interval.
delete from indicator_states k
using unnest($1::text[], $2::timestamptz[]) as stale (symbol, start)
where k.symbol = stale.symbol and k.interval = $3 and k.start >= stale.start
