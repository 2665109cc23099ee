-- The offsets of the hours that have some of a range. $1: topic, $2: partition, $3 and $4: first
-- and last offset.
select p.hour, p.first_offset, p.last_offset, s.offsets, s.withdrawn
from hour_spans p join hour_sums s using (hour)
where p.topic = $1 and p.partition = $2 and p.last_offset >= $3 and p.first_offset <= $4
