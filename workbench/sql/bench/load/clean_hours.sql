-- Judged hours, of which one bar in fifty holds three confirmed bad prints.
with judged as
    (insert into judged_hours (hour, detectors, ticks) select hour, '', ticks from batch_hours
     returning hour)
insert into clean_hours
    (symbol, hour, open, high, low, close, volume, ticks, sum_close, notional, of_hour, left_out)
select symbol, hour, open, high - 1, low, close, volume, ticks - 3, sum_close, notional, hour, 3
from hour_bars
         join judged using (hour)
where mod(hashtext(symbol) + extract(epoch from hour)::bigint / 3600, 50) = 0
