-- The oldest hour that anything is known of.
select least((select min(hour) from batch_hours), (select min(hour) from stale_hours),
             (select min(hour) from hour_bars))
