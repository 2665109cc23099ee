-- Rejected messages with another reason, or other bytes, than what was sent. $1: the topic.
select format('%s/%s is rejected for %s, sent was %s, the bytes %s',
              kafka_partition, kafka_offset, r.reason,
              coalesce(s.fate, 'anything'),
              case when coalesce(r.value_sha256, sha256(r.value)) is not distinct from s.sha256
                   then 'agree' else 'differ' end)
from sent s join rejected_ticks r using (kafka_partition, kafka_offset)
where r.source in (select source from kafka_sources where topic = $1)
  and (coalesce(r.value_sha256, sha256(r.value)) is distinct from s.sha256 or s.fate <> r.reason)
