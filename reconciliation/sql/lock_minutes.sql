-- Locks minutes, in the order in which the speed layer does. $1 and $2: from when to when.
select from minute_bars
where minute >= $1 and minute < $2 order by symbol, minute for update
