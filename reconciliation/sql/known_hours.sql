-- From when to when the tables have hours, and whether the newest one was compared. $1: before
-- which hour.
select least((select min(hour) from hour_bars), (select min(hour) from batch_hours)) as oldest,
       newest,
       exists (select from reconciled_hours where hour = newest) as is_compared
from (select greatest((select max(hour) from hour_bars where hour < $1),
                      (select max(hour) from batch_hours where hour < $1)) as newest) as found
