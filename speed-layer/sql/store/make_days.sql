-- Makes the partitions of days that have none, and says how many. $1: an instant of each day.
select make_realtime_days(array(select (day at time zone 'UTC')::date
                                from unnest($1::timestamptz[]) as day))
