-- The next offset of each partition. $1: consumer groups, $2: topic.
select partition, max(next_offset) from ingest_positions
where group_id = any ($1) and topic = $2 group by partition
