-- What is recorded as missing in a range of offsets and around it. $1: topic, $2: partition, $3 and
-- $4: first and last offset.
select first_offset, last_offset, offsets, before_offset, before_hour, after_offset, after_hour,
       first_folder, last_folder
from missing_offsets
where topic = $1 and partition = $2 and last_offset >= $3 and first_offset <= $4
order by first_offset
