-- Notes that spans of offsets were looked through. $1, $2 and $3: their hours, topics and
-- partitions.
update hour_spans s set gaps_checked = true
from unnest($1::timestamptz[], $2::text[], $3::integer[]) as seen (hour, topic, partition)
where s.hour = seen.hour and s.topic = seen.topic and s.partition = seen.partition
