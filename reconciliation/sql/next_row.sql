-- The first hour that any table with an index of hours has. $1: from which hour on, $2: before
-- which one.
select least((select min(hour) from batch_hours where hour >= $1 and hour < $2),
             (select min(hour) from stale_hours where hour >= $1 and hour < $2),
             (select min(hour) from hour_sums where hour >= $1 and hour < $2),
             (select min(hour) from archive_object_hours where hour >= $1 and hour < $2),
             (select min(hour) from deleted_objects where hour >= $1 and hour < $2),
             (select min(hour) from lake_objects where hour >= $1 and hour < $2),
             (select min(hour) from hourly_stock_summary where hour >= $1 and hour < $2),
             (select min(hour) from hour_bars where hour >= $1 and hour < $2),
             (select min(hour) from reconciled_hours where hour >= $1 and hour < $2))
