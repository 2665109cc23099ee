-- Symbols that have indicators, or should have. $1 and $2: from when to when.
with recursive known (symbol) as
    ((select symbol from technical_indicators order by symbol limit 1)
     union all
     select (select t.symbol from technical_indicators t
             where t.symbol > known.symbol order by 1 limit 1)
     from known
     where known.symbol is not null),
looked_at (symbol) as
    (select symbol from known
     where exists (select from technical_indicators t
                   where t.symbol = known.symbol and t.interval in ('hour', 'day') and t.start >= $1
                     and t.start < $2)
     union
     select symbol from hourly_stock_summary where hour >= $1 and hour < $2)
select symbol from looked_at order by symbol
