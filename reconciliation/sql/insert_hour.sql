-- Notes how an hour was compared; another comparison of the hour waits until that is committed. $1:
-- the hour, $2: status, $3, $4, $5 and $6: the ticks of realtime_stock, minute_bars, archive and
-- summary, $7: detail, $8: when the tables were read.
insert into reconciled_hours
    (hour, status, realtime_ticks, minute_bar_ticks, archive_ticks, summary_ticks, detail,
     reconciled_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (hour) do update
    set status = excluded.status, realtime_ticks = excluded.realtime_ticks,
        minute_bar_ticks = excluded.minute_bar_ticks, archive_ticks = excluded.archive_ticks,
        summary_ticks = excluded.summary_ticks, detail = excluded.detail,
        reconciled_at = excluded.reconciled_at
