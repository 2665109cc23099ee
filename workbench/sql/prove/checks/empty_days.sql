-- Day partitions that hold no tick.
select name from realtime_partitions
-- Today's and tomorrow's are made ahead of time.
where to_time <= now()
  and not exists (select from realtime_stock t where t.tableoid = partition)
