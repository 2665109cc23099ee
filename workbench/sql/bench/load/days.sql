-- Makes the partitions of the days. $1: days.
select make_realtime_days(array[current_date - day]) from generate_series(0, $1::integer) as day
