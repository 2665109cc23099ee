-- Deletes stale rows that are not written again. $1 and $2: symbols, and from when they are stale,
-- $3: interval, $4 and $5: symbols and starts of the new rows.
delete from technical_indicators t
using unnest($1::text[], $2::timestamptz[]) as stale (symbol, start)
where t.symbol = stale.symbol and t.interval = $3 and t.start >= stale.start
  and not exists (select from unnest($4::text[], $5::timestamptz[]) as new (symbol, start)
                  where new.symbol = t.symbol and new.start = t.start)
