-- From where to where a range and what is missing around it go. $1: topic, $2: partition, $3 and
-- $4: first and last offset.
select min(first_offset), max(last_offset) from missing_offsets
where topic = $1 and partition = $2 and last_offset >= $3 and first_offset <= $4
