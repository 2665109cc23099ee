-- From where to where the offsets of each source go. $1 and $2: from when to when, $3: partition,
-- $4: sources, or null for all.
select min(kafka_offset), max(kafka_offset)
from realtime_stock
where timestamp >= $1 and timestamp < $2 and kafka_partition = $3
  and ($4::smallint[] is null or source = any ($4))
group by source
