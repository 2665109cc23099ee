-- Counts of everything. They come from minute_bars, which has a few rows a minute where
-- realtime_stock has thousands.
select coalesce(sum(ticks), 0)::bigint                         as ticks,
       count(distinct symbol)                                  as symbols,
       coalesce(sum(ticks) filter (where minute = date_trunc('minute', now())
                                                  - interval '1 minute'), 0)::bigint
                                                               as ticks_last_minute,
       extract(epoch from now() - max(last_timestamp))::float8 as age,
       (select count(*) from rejected_ticks)                   as rejected,
       (select count(*) from hourly_stock_summary)             as summaries,
       (select count(distinct hour) from hourly_stock_summary) as summary_hours
from minute_bars
