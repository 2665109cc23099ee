-- The run that has had the lock longest, and how many others have it.
select holder, extract(epoch from now() - taken_at)::bigint as since,
       extract(epoch from now() - heartbeat_at)::bigint as silent, count(*) over () - 1 as others
from batch_lock order by taken_at limit 1
