-- Whether the batch layer has ever run to its end, how many hours are compared, how many rows these
-- have, and what of the rows differs from a plain aggregate of ticks. Hours are compared that the
-- batch layer has computed or, since its last run began after their end and the grace period,
-- should have. $1: the grace period in seconds.
with last_run as
    (select max(started_at) as began from batch_runs where status in ('ok', 'partial')),
     wanted as
    (select hour from batch_hours
     union
     select distinct date_trunc('hour', minute, 'UTC')
     from minute_bars, last_run
     where date_trunc('hour', minute, 'UTC') + interval '1 hour' + make_interval(secs => $1)
           <= began),
     plain as
    (select symbol,
            date_trunc('hour', timestamp, 'UTC') as hour,
            trim_scale(sum(close)) / count(*) as avg_close,
            case when count(volume) = count(*) then trim_scale(sum(volume)) / count(*) end
                as avg_volume,
            (array_agg(open order by timestamp, kafka_partition, kafka_offset))[1] as open,
            max(greatest(open, close, high)) as high,
            min(least(open, close, low)) as low,
            (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc))[1]
                as close,
            case when count(volume) = count(*) then sum(volume) end as volume,
            case when count(volume) = count(*)
                 then trim_scale(sum(close * volume)) / nullif(trim_scale(sum(volume)), 0) end
                as vwap,
            count(*) as ticks
     from realtime_stock
     where date_trunc('hour', timestamp, 'UTC') in (select hour from wanted)
     group by symbol, date_trunc('hour', timestamp, 'UTC')),
     compared as
    (select symbol, hour,
            case
                when b.ticks is null then 'no summary of ' || p.ticks || ' ticks'
                when p.ticks is null then 'a summary of ' || b.ticks || ' ticks without any tick'
                else concat_ws(', ',
                    case when b.ticks is distinct from p.ticks
                         then format('ticks %s, should be %s', b.ticks, p.ticks) end,
                    case when b.avg_close is distinct from p.avg_close
                         then format('avg_close %s, should be %s', b.avg_close, p.avg_close) end,
                    case when b.avg_volume is distinct from p.avg_volume
                         then format('avg_volume %s, should be %s', b.avg_volume, p.avg_volume) end,
                    case when b.open is distinct from p.open
                         then format('open %s, should be %s', b.open, p.open) end,
                    case when b.high is distinct from p.high
                         then format('high %s, should be %s', b.high, p.high) end,
                    case when b.low is distinct from p.low
                         then format('low %s, should be %s', b.low, p.low) end,
                    case when b.close is distinct from p.close
                         then format('close %s, should be %s', b.close, p.close) end,
                    case when b.volume is distinct from p.volume
                         then format('volume %s, should be %s', b.volume, p.volume) end,
                    case when b.vwap is distinct from p.vwap
                         then format('vwap %s, should be %s', b.vwap, p.vwap) end)
            end as difference
     from plain p
          full join (select * from hourly_stock_summary
                     where hour in (select hour from wanted)) b using (symbol, hour))
select (select began is not null from last_run),
       (select count(*) from wanted),
       (select count(*) from compared),
       array(select symbol || ' ' || to_char(hour at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
                    || ': ' || difference
             from compared where difference <> '' order by hour, symbol)
