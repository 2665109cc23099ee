-- Notes how an hour was compared. $1: the hour, $2: status, $3, $4, $5 and $6: the ticks of
-- realtime_stock, minute_bars, archive and summary, $7: detail, $8: when the tables were read.
insert into reconciled_hours
    (hour, status, realtime_ticks, minute_bar_ticks, archive_ticks, summary_ticks, detail,
     reconciled_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
