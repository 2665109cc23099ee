-- The busiest symbols of the last hour: the newest close, by how many percent it has changed within
-- the hour, the volume ('-' where a tick has none), ticks, and the newest one's time.
with newest as (select max(minute) as minute from minute_bars),
     recent as (select b.* from minute_bars b, newest
                where b.minute > newest.minute - interval '1 hour')
select symbol,
       (array_agg(close order by minute desc))[1]::text as close,
       coalesce(to_char(percent((array_agg(close order by minute desc))[1]
                                    - (array_agg(open order by minute))[1],
                                (array_agg(open order by minute))[1]), 'FMS990.00'), '-')
           as change,
       coalesce(rtrim(to_char(case when count(volume) = count(*) then sum(volume) end,
                              'FM999,999,999,999,990.9999'), '.'), '-')
           as volume,
       sum(ticks)::bigint as ticks,
       to_char(max(last_timestamp) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as last_tick
from recent
group by symbol
order by ticks desc, symbol
limit 10
