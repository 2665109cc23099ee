-- The oldest hour that any table has. Of indicators the first rows of each symbol are asked for, as
-- their key serves it. The row of a day may begin before the day's first hour.
with recursive known (symbol) as
    ((select symbol from technical_indicators order by symbol limit 1)
     union all
     select (select t.symbol from technical_indicators t
             where t.symbol > known.symbol order by 1 limit 1)
     from known
     where known.symbol is not null),
first_rows (kind, start) as
    (select kind, (select min(t.start) from technical_indicators t
                   where t.symbol = known.symbol and t.interval = kind)
     from known, unnest(array['hour', 'day']) as kinds (kind)),
oldest (hour) as
    (select least((select min(hour) from batch_hours), (select min(hour) from stale_hours),
                  (select min(hour) from archive_object_hours),
                  (select min(hour) from deleted_objects), (select min(hour) from lake_objects),
                  (select min(hour) from hourly_stock_summary), (select min(hour) from hour_bars),
                  (select min(hour) from reconciled_hours), (select min(minute) from minute_bars),
                  (select min(timestamp) from realtime_stock),
                  (select min(start) from first_rows where kind = 'hour')))
select least(hour, (select min(start) from first_rows
                    where kind = 'day' and (hour is null or start < hour - interval '1 day')))
from oldest
