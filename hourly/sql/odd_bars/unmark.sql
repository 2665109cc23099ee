-- Forgets the marks of symbols that were not marked again since. $1 and $2: the symbols, and how
-- often they had been marked.
delete from stale_bars using unnest($1::text[], $2::bigint[]) as done (symbol, changes)
where stale_bars.symbol = done.symbol and stale_bars.changes = done.changes
