-- Notes, from both sides, what other hours have of an hour's records. $1: the hour, $2: other
-- hours, $3: how many records, $4, $5 and $6: topic, partition and place of one of them.
insert into shared_records (hour, other_hour, records, topic, partition, place)
select case when turned then other else $1 end, case when turned then $1 else other end, records,
       topic, partition, place
from unnest($2::timestamptz[], $3::bigint[], $4::text[], $5::integer[], $6::bigint[])
         as found (other, records, topic, partition, place),
     (values (false), (true)) as sides (turned)
