-- Summaries that have other ticks than the minute bars of their hour.
select format('%s %s: batch %s, speed %s', symbol, hour, batch_ticks, speed_ticks)
from hourly_stock
where hour in (select hour from batch_hours) and batch_ticks <> speed_ticks
