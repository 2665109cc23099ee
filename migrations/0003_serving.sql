-- What people and dashboards read. Queries filter by symbol and time; each view is written so that
-- PostgreSQL pushes those filters down to the indexes.

-- A change in per cent. Null where it is measured against a price of zero or below
-- (--allow-nonpositive-prices), of which there are no hundredths.
create function percent(change numeric, base numeric) returns numeric
    language sql immutable
as
$$
select 100 * change / case when base > 0 then base end
$$;

-- Minute bars ready to plot.
create view minute_stock as
select symbol,
       minute,
       open,
       high,
       low,
       close,
       volume,
       notional / nullif(volume, 0) as vwap,
       ticks
from minute_bars;

-- What the last run of batch-layer could tell of each hour.
create view hour_completeness as
select hour, status, reason, speed_ticks, batch_ticks, since, example
from archive_hours;

-- Which side a symbol's hour is taken from. Of an hour that the archive shows completely: the batch
-- layer, so that corrections and withdrawals show. Of another: the side that has seen more ticks,
-- and the batch layer at a tie, so that a late tick, a missed run or purged real-time data never
-- hides the better number. Null ticks: the side has no such hour.
create function speed_wins(speed_ticks bigint, batch_ticks bigint, is_complete boolean) returns boolean
    language sql immutable
as
$$
select not is_complete and coalesce(speed_ticks > batch_ticks, batch_ticks is null)
$$;

-- Two arms rather than a full join, into which PostgreSQL would push no filter but `symbol = 'X'`.
-- How many digits a quotient has depends on the zeros at the ends of its operands: without them
-- both sides have the same.
create view hourly_stock as
select b.symbol,
       b.hour,
       case when speed_wins then trim_scale(s.sum_close) / s.ticks else b.avg_close end as avg_close,
       case when speed_wins then trim_scale(s.volume) / s.ticks else b.avg_volume end  as avg_volume,
       case when speed_wins then s.open else b.open end                                as open,
       case when speed_wins then s.high else b.high end                                as high,
       case when speed_wins then s.low else b.low end                                  as low,
       case when speed_wins then s.close else b.close end                              as close,
       case when speed_wins then s.volume else b.volume end                            as volume,
       case
           when speed_wins then trim_scale(s.notional) / nullif(trim_scale(s.volume), 0)
           else b.vwap end                                                             as vwap,
       case when speed_wins then s.ticks else b.ticks end                              as ticks,
       case when speed_wins then 'speed' else 'batch' end                              as source,
       b.ticks                                                                         as batch_ticks,
       coalesce(s.ticks, 0)                                                            as speed_ticks
from hourly_stock_summary b
         left join hour_bars s on s.symbol = b.symbol and s.hour = b.hour
         left join archive_hours a on a.hour = b.hour
         cross join lateral (select speed_wins(s.ticks, b.ticks, a.status is not distinct from 'complete')) as choice
union all
select s.symbol,
       s.hour,
       trim_scale(s.sum_close) / s.ticks,
       trim_scale(s.volume) / s.ticks,
       s.open,
       s.high,
       s.low,
       s.close,
       s.volume,
       trim_scale(s.notional) / nullif(trim_scale(s.volume), 0),
       s.ticks,
       'speed',
       0,
       s.ticks
from hour_bars s
where not exists (select from hourly_stock_summary b where b.symbol = s.symbol and b.hour = s.hour)
  and not exists (select from archive_hours a where a.hour = s.hour and a.status = 'complete');

-- The hours as each side has them, before the choice.
create view hourly_stock_by_source as
select symbol, hour, open, high, low, close, volume, ticks, 'batch' as source
from hourly_stock_summary
union all
select symbol, hour, open, high, low, close, volume, ticks, 'speed'
from hour_bars;

-- Whether a bar without its bad prints counts: where the raw one has seen more ticks since, it
-- waits for the next run of batch-layer. Null clean ticks: there are no bad prints.
create function is_clean(raw_ticks bigint, clean_ticks bigint, left_out bigint) returns boolean
    language sql immutable
as
$$
select coalesce(clean_ticks + left_out >= raw_ticks, false)
$$;

-- The same bars without the bad prints that batch-layer has confirmed (docs/anomalies.md), of which
-- left_out says how many there were. A bar that has nothing else is not there.
create view clean_minute_stock as
select m.symbol,
       m.minute,
       case when is_clean then c.open else m.open end                               as open,
       case when is_clean then c.high else m.high end                               as high,
       case when is_clean then c.low else m.low end                                 as low,
       case when is_clean then c.close else m.close end                             as close,
       case when is_clean then c.volume else m.volume end                           as volume,
       case when is_clean then c.notional / nullif(c.volume, 0) else m.vwap end     as vwap,
       case when is_clean then c.ticks else m.ticks end                             as ticks,
       case when is_clean then c.left_out else 0 end                                as left_out
from minute_stock m
         left join clean_minutes c on c.symbol = m.symbol and c.minute = m.minute
         cross join lateral (select is_clean(m.ticks, c.ticks, c.left_out)) as choice
where not is_clean or c.ticks > 0;

create view clean_hourly_stock as
select h.symbol,
       h.hour,
       case when is_clean then trim_scale(c.sum_close) / c.ticks else h.avg_close end as avg_close,
       case when is_clean then trim_scale(c.volume) / c.ticks else h.avg_volume end   as avg_volume,
       case when is_clean then c.open else h.open end                                 as open,
       case when is_clean then c.high else h.high end                                 as high,
       case when is_clean then c.low else h.low end                                   as low,
       case when is_clean then c.close else h.close end                               as close,
       case when is_clean then c.volume else h.volume end                             as volume,
       case
           when is_clean then trim_scale(c.notional) / nullif(trim_scale(c.volume), 0)
           else h.vwap end                                                            as vwap,
       case when is_clean then c.ticks else h.ticks end                               as ticks,
       h.source,
       h.batch_ticks,
       h.speed_ticks,
       case when is_clean then c.left_out else 0 end                                  as left_out
from hourly_stock h
         left join clean_hours c on c.symbol = h.symbol and c.hour = h.hour
         cross join lateral (select is_clean(h.ticks, c.ticks, c.left_out)) as choice
where not is_clean or c.ticks > 0;

-- The bars of which clean_hourly_stock leaves something out, raw and clean; no clean numbers where
-- nothing else is left. Begun with the few that hold bad prints: each looks up its raw hour by key,
-- which `offset 0` keeps so.
create view hours_with_bad_prints as
select c.hour,
       c.symbol,
       c.left_out,
       h.ticks,
       h.high                                 as raw_high,
       case when c.ticks > 0 then c.high end  as clean_high,
       h.low                                  as raw_low,
       case when c.ticks > 0 then c.low end   as clean_low,
       h.close                                as raw_close,
       case when c.ticks > 0 then c.close end as clean_close
from clean_hours c
         cross join lateral (select *
                             from hourly_stock h
                             where h.symbol = c.symbol
                               and h.hour = c.hour
                             offset 0) as h
where is_clean(h.ticks, c.ticks, c.left_out)
  and c.left_out > 0;

-- Where the exchange is. One row; `update exchange set time_zone = 'Asia/Tokyo'` moves the days of
-- every report.
create table exchange
(
    is_the_only_row boolean not null default true,
    time_zone       text    not null default 'America/New_York',
    constraint exchange_pkey primary key (is_the_only_row),
    constraint exchange_is_the_only_row_check check (is_the_only_row),
    -- An unknown zone is an error here and now rather than in every report.
    constraint exchange_time_zone_check check (timestamptz 'epoch' at time zone time_zone is not null)
);

insert into exchange default values;

create view exchange_settings as
select time_zone
from exchange;

-- A symbol's day at the exchange. An hour belongs to the day in which it begins there, which
-- matters only where a zone is not whole hours off UTC and trades at midnight. change_percent is
-- from close to close, null on the first day; volume_ratio is the volume over the mean of up to 20
-- trading days before (volume_mean_days of them have one). A day's volume and vwap are null where a
-- tick of it has no volume.
-- clean_daily_stock_report is the same without confirmed bad prints.
do
$$
declare
    prefix text;
begin
    foreach prefix in array array ['', 'clean_']
    loop
        execute format($view$
        create view %1$sdaily_stock_report as
        with days as (select symbol,
                             (hour at time zone (select time_zone from exchange))::date as day,
                             (array_agg(open order by hour))[1]                         as open,
                             max(high)                                                  as high,
                             min(low)                                                   as low,
                             (array_agg(close order by hour desc))[1]                   as close,
                             case when count(volume) = count(*) then sum(volume) end    as volume,
                             case when count(volume) = count(*)
                                      then sum(vwap * volume) / nullif(sum(volume), 0) end as vwap,
                             sum(ticks)::bigint                                         as ticks,
                             count(*)                                                   as hours
                      from %1$shourly_stock
                      group by 1, 2)
        select symbol,
               day,
               day::timestamp at time zone (select time_zone from exchange)                    as start,
               open,
               high,
               low,
               close,
               percent(close - lag(close) over days_of_symbol, lag(close) over days_of_symbol) as change_percent,
               percent(close - open, open)                                                     as open_to_close_percent,
               volume,
               vwap,
               ticks,
               high - low                                                                      as range,
               percent(high - low, low)                                                        as range_percent,
               avg(volume) over twenty_days_before                                             as volume_mean,
               count(volume) over twenty_days_before                                           as volume_mean_days,
               volume / nullif(avg(volume) over twenty_days_before, 0)                         as volume_ratio,
               hours
        from days
        window days_of_symbol as (partition by symbol order by day),
               twenty_days_before as (partition by symbol order by day rows between 20 preceding and 1 preceding)
        $view$, prefix);
    end loop;
end
$$;

-- The hours in which anything was traded, over and over. Both arms are plain tables, so that the
-- newest one up to a moment is one look into each index; of hourly_stock PostgreSQL would sort
-- every row.
create view trading_hours as
select hour
from hour_bars
union all
select hour
from hourly_stock_summary;

-- The newest day with trades up to a moment: what a report shows by default, at night and on a
-- weekend too.
create function newest_trading_day(until timestamptz)
    returns table (day date, day_start timestamptz, day_end timestamptz)
    language sql stable
as
$$
select local_day::date,
       local_day at time zone time_zone,
       (local_day + interval '1 day') at time zone time_zone
from exchange_settings
         cross join (select hour from trading_hours where hour <= until order by hour desc limit 1) as newest
         cross join lateral (select date_trunc('day', hour at time zone time_zone) as local_day) as here
$$;

-- Those columns of hourly_stock, of all symbols, that a day's report needs. For spans of time the
-- full join is the quicker one: each table is read by its hours once, where the view asks the other
-- table for every row.
create function market_hours(since timestamptz, until timestamptz)
    returns table (symbol text, hour timestamptz, open numeric, close numeric, volume numeric, ticks bigint)
    language sql stable
as
$$
select symbol,
       hour,
       case when speed_wins then s.open else b.open end,
       case when speed_wins then s.close else b.close end,
       case when speed_wins then s.volume else b.volume end,
       case when speed_wins then s.ticks else b.ticks end
from (select * from hourly_stock_by_source where source = 'batch' and hour >= since and hour < until) as b
         full join (select * from hourly_stock_by_source where source = 'speed' and hour >= since and hour < until) as s
                   using (symbol, hour)
         left join hour_completeness c using (hour)
         cross join lateral (select c.status is not distinct from 'complete' as is_complete) as archive
         cross join lateral (select speed_wins(s.ticks, b.ticks, is_complete)) as choice
where b.symbol is not null or not is_complete
$$;

-- The newest minute with a trade up to a moment. The hour of the moment may have begun with none,
-- hence the hour before it with trades; where minutes are no longer kept, the hour has to do.
create function newest_minute(until timestamptz)
    returns timestamptz
    language sql stable
as
$$
select coalesce((select max(minute)
                 from minute_stock
                 where minute >= coalesce(before.hour, newest.hour)
                   and minute < newest.hour + interval '1 hour'
                   and minute <= until), newest.hour)
from (select hour from trading_hours where hour <= until order by hour desc limit 1) as newest
         left join lateral (select t.hour
                            from trading_hours t
                            where t.hour < newest.hour
                            order by t.hour desc
                            limit 1) as before on true
$$;

-- How far each symbol moved between two moments, and its volume: hours that lie in between are
-- market_hours', and of those that the moments cut, the minutes count. The volume is null where a
-- tick has none.
create function market_moves(since timestamptz, until timestamptz)
    returns table (symbol text, first numeric, last numeric, volume numeric)
    language sql stable
    set jit = off
as
$$
with edges as (select date_trunc('hour', since + interval '1 hour' - interval '1 microsecond') as first_whole,
                      date_trunc('hour', until)                                                as last_whole),
     bars as (select h.symbol, h.hour as start, h.open, h.close, h.volume
              from edges
                       cross join lateral market_hours(first_whole, last_whole) as h
              union all
              select m.symbol, m.minute, m.open, m.close, m.volume
              from edges
                       cross join minute_stock m
              where m.minute >= since
                and m.minute <= until
                and m.minute < first_whole
              union all
              select m.symbol, m.minute, m.open, m.close, m.volume
              from edges
                       cross join minute_stock m
              -- last_whole in its own words, for which the index is asked: of a column that is
              -- joined it is not.
              where m.minute >= date_trunc('hour', until)
                and m.minute >= first_whole
                and m.minute <= until)
select bars.symbol,
       (array_agg(bars.open order by bars.start))[1],
       (array_agg(bars.close order by bars.start desc))[1],
       case when count(bars.volume) = count(*) then sum(bars.volume) end
from bars
group by bars.symbol
$$;

-- The newest day of every symbol. Quicker than daily_stock_report, which has to read all of a
-- symbol's days for the means. The days are materialized, because so each is read once. Nearly
-- every symbol was traded on the market's day before; only for the others its own last day is
-- looked for. previous_close is null on a symbol's first day. Without jit, which would take a
-- hundred times as long as the query.
create function newest_day_of_market(until timestamptz)
    returns table
            (
                symbol         text,
                open           numeric,
                close          numeric,
                previous_close numeric,
                change_percent numeric,
                volume         numeric,
                ticks          bigint
            )
    language sql stable
    set jit = off
as
$$
with day as materialized (select day_start, day_end from newest_trading_day(until)),
     day_before as materialized (select b.day_start, b.day_end
                                 from day
                                          cross join lateral newest_trading_day(day.day_start - interval '1 microsecond') as b),
     today as materialized (select h.symbol,
                                   (array_agg(h.open order by h.hour))[1]       as open,
                                   (array_agg(h.close order by h.hour desc))[1] as close,
                                   case when count(h.volume) = count(*) then sum(h.volume) end as volume,
                                   sum(h.ticks)::bigint                         as ticks
                            from day
                                     cross join lateral market_hours(day.day_start, day.day_end) as h
                            group by h.symbol),
     yesterday as materialized (select h.symbol, (array_agg(h.close order by h.hour desc))[1] as close
                                from day_before
                                         cross join lateral market_hours(day_before.day_start, day_before.day_end) as h
                                group by h.symbol)
select today.symbol,
       today.open,
       today.close,
       previous_close,
       percent(today.close - previous_close, previous_close),
       today.volume,
       today.ticks
from today
         left join yesterday on yesterday.symbol = today.symbol
         cross join lateral (select coalesce(yesterday.close,
                                             (select h.close
                                              from hourly_stock h
                                              where h.symbol = today.symbol
                                                and h.hour < (select day_start from day)
                                              order by h.hour desc
                                              limit 1)) as previous_close) as reference
$$;

-- Every symbol once. Hops from one to the next in the index, so 5,000 symbols take milliseconds
-- however many bars they have.
create view known_symbols as
with recursive
    speed as ((select symbol from hour_bars order by symbol limit 1)
              union all
              select (select h.symbol from hour_bars h where h.symbol > speed.symbol order by h.symbol limit 1)
              from speed
              where speed.symbol is not null),
    batch as ((select symbol from hourly_stock_summary order by symbol limit 1)
              union all
              select (select h.symbol from hourly_stock_summary h where h.symbol > batch.symbol order by h.symbol limit 1)
              from batch
              where batch.symbol is not null)
select symbol from speed where symbol is not null
union
select symbol from batch where symbol is not null;

-- The symbols of the newest day up to a moment, the most traded one first. Volumes decide where all
-- are known. Otherwise ticks do, of all symbols: by partial sums those would come last that have
-- the most ticks, and with them the most without a volume.
create function traded_symbols(until timestamptz)
    returns table (symbol text, place bigint)
    language sql stable
    set jit = off
as
$$
with sums as (select h.symbol,
                     sum(h.volume)                as volume,
                     sum(h.ticks)                 as ticks,
                     count(h.volume) = count(*)   as is_known
              from newest_trading_day(until) as newest
                       cross join lateral market_hours(newest.day_start, newest.day_end) as h
              group by h.symbol),
     market as (select bool_and(is_known) as is_known from sums)
select sums.symbol,
       row_number() over (order by case when market.is_known then sums.volume end desc,
                                   sums.ticks desc, sums.symbol)
from sums
         cross join market
$$;

-- Every symbol, those of the newest day first: what a dashboard opens with, whatever the market.
create function symbols_by_trade(until timestamptz)
    returns table (symbol text, place bigint)
    language sql stable
    set jit = off
as
$$
select k.symbol, row_number() over (order by t.place nulls last, k.symbol)
from known_symbols k
         left join traded_symbols(until) t on t.symbol = k.symbol
$$;

-- The symbols that the variable of a dashboard stands for. 'most traded' are five, and 'all
-- symbols' are all, both the most traded one first; any other choice is a name. Only what is asked
-- for is looked up.
create function chosen_symbols(chosen text[], until timestamptz)
    returns text[]
    language sql stable
    set jit = off
as
$$
select case
           when 'all symbols' = any (chosen) then array(select symbol from symbols_by_trade(until) order by place)
           when 'most traded' = any (chosen)
               then array(select symbol from traded_symbols(until) order by place limit 5) || chosen
           else chosen
           end
$$;
