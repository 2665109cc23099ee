-- Notes that an hour was compared without something of it; of one of which nothing was found there
-- is no row yet. $1: the hour, $2: what.
insert into reconciled_hours as known
    (hour, status, realtime_ticks, minute_bar_ticks, archive_ticks, detail)
values ($1, 'open', 0, 0, 0, $2)
on conflict (hour) do update
    set status = case known.status when 'mismatch' then known.status else 'open' end,
        detail = concat_ws('; ', nullif(known.detail, ''), excluded.detail)
