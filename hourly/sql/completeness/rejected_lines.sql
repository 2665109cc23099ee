-- Rejected lines that tell their offset. $1: partition, $2: first offset, $3: the one behind the
-- last.
select key, kafka_offset from rejected_lines
where kafka_partition = $1 and kafka_offset >= $2 and kafka_offset < $3
