-- Forgets ranges of offsets that are not missing any more. $1, $2 and $3: their topics, partitions
-- and first offsets.
delete from missing_offsets m
using unnest($1::text[], $2::integer[], $3::bigint[]) as seen (topic, partition, first_offset)
where m.topic = seen.topic and m.partition = seen.partition and m.first_offset = seen.first_offset
