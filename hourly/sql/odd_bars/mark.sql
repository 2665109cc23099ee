-- Marks symbols whose bars of an hour are to be judged. $1: the hour, $2: the symbols.
insert into stale_bars as known (symbol, first_hour, last_hour)
select symbol, $1, $1 from unnest($2::text[]) as s (symbol)
on conflict (symbol) do update
    set (first_hour, last_hour, changes)
        = (least(known.first_hour, excluded.first_hour),
           greatest(known.last_hour, excluded.last_hour), known.changes + 1)
