-- Says of anomalies what they are with hindsight. $1 to $7: which ones, $8: verdicts, $9: reasons.
update anomalies a
set verdict = said.verdict, reason = said.reason,
    judged_at = case when a.verdict = said.verdict then a.judged_at
                     when said.verdict <> 'provisional' then now() end
from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[], $6::integer[],
            $7::text[], $8::text[], $9::text[])
         as said (source, kafka_partition, kafka_offset, kafka_index, detector, version, kind,
                  verdict, reason)
where a.source = said.source and a.kafka_partition = said.kafka_partition
  and a.kafka_offset = said.kafka_offset and a.kafka_index = said.kafka_index
  and a.detector = said.detector and a.version = said.version and a.kind = said.kind
  and (a.verdict, a.reason) is distinct from (said.verdict, said.reason)
returning a.verdict
