-- Notes of which partitions the archive has all that the speed layer has.
update archive_high_offsets n set caught_up_at = now()
from kafka_offsets o join kafka_sources s using (source)
where n.topic in (s.topic, '') and n.partition = o.partition and n.next_offset >= o.next_offset
  and not exists (select from kafka_sources later
                  where later.topic = s.topic and later.first_seen_at > s.first_seen_at)
