-- Other hours with offsets of some ranges, and the topics that were created again between. $1: the
-- hour, $2, $3, $4 and $5: topics, partitions, first and last offsets.
select s.hour, s.offsets,
       exists (select from stale_hours t where t.hour = s.hour) as is_stale,
       array(select k.topic
             from kafka_sources k
             where k.first_seen_at > least($1, s.hour)
               and k.first_seen_at < greatest($1, s.hour) + interval '1 hour'
               and exists (select from kafka_sources e
                           where e.topic = k.topic and e.first_seen_at < k.first_seen_at)) as anew
from hour_sums s
where s.hour in (select o.hour
                 from hour_spans o
                          join unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[])
                              as own (topic, partition, first_offset, last_offset)
                          on o.topic = own.topic and o.partition = own.partition
                              and o.last_offset >= own.first_offset
                              and o.first_offset <= own.last_offset
                 where o.hour <> $1)
order by s.hour
