-- The three symbols with the largest volume, of each of the last three hours that have summaries.
with last_hours as (select distinct hour from hourly_stock_summary order by hour desc limit 3),
     ranked as (select s.*,
                       row_number() over (partition by hour
                                          order by volume desc nulls last, symbol) as rank
                from hourly_stock_summary s where hour in (select hour from last_hours))
select to_char(hour at time zone 'UTC', 'YYYY-MM-DD HH24:MI') as hour,
       symbol, high::text, low::text, close::text,
       round(avg_close, 4)::text as avg_close,
       round(vwap, 4)::text as vwap,
       coalesce(rtrim(to_char(volume, 'FM999,999,999,999,990.9999'), '.'), '-') as volume
from ranked
where rank <= 3
order by ranked.hour desc, rank
