-- The offset from which each partition is read next. $1: the group, $2: the topic.
select partition, next_offset from ingest_positions
where group_id = $1 and topic = $2
order by partition
