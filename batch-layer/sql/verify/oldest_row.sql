-- The oldest hour that any table has.
select least((select min(hour) from batch_hours), (select min(hour) from stale_hours),
             (select min(hour) from hourly_stock_summary), (select min(hour) from hour_bars),
             (select min(minute) from minute_bars), (select min(timestamp) from realtime_stock))
