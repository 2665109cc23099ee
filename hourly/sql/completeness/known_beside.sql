-- The last known offset before a range, and the first one behind it. $1: topic, $2: partition, $3
-- and $4: first and last offset.
(select hour, last_offset from hour_spans
 where topic = $1 and partition = $2 and last_offset < $3 order by last_offset desc, hour limit 1)
union all
(select hour, first_offset from hour_spans
 where topic = $1 and partition = $2 and first_offset > $4 order by first_offset, hour limit 1)
