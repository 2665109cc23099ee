-- The offsets of the hours that have some of a range. $1: topic, $2: partition, $3 and $4: first
-- and last offset.
select hour, first_offset, last_offset, offsets from hour_spans
where topic = $1 and partition = $2 and last_offset >= $3 and first_offset <= $4
order by hour
