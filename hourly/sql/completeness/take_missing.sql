-- Takes what is known to be missing in a range of offsets. $1: topic, $2: partition, $3 and $4:
-- first and last offset.
delete from missing_offsets
where topic = $1 and partition = $2 and last_offset >= $3 and first_offset <= $4
returning first_offset, last_offset, offsets, is_accepted, found_at
