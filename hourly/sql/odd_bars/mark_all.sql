-- Marks all symbols, with all hours that they have.
insert into stale_bars as known (symbol, first_hour, last_hour)
select symbol, min(hour), max(hour) from hourly_stock_summary group by symbol
on conflict (symbol) do update
    set (first_hour, last_hour, changes)
        = (least(known.first_hour, excluded.first_hour),
           greatest(known.last_hour, excluded.last_hour), known.changes + 1)
