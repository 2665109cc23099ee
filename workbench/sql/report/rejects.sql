-- How many messages were rejected for which reason, with the newest one.
select reason, count(*) as count,
       (array_agg(detail order by rejected_at desc, kafka_offset desc))[1] as example
from rejected_ticks
group by reason
order by count desc, reason
