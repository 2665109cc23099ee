-- Writes what is found with hindsight in an hour, and deletes what is not any more: counts both. $1
-- to $10: what is found, $11: the hour, $12 and $13: the detector and its version, $14: the reason.
with found as
    (select distinct on (source, kafka_partition, kafka_offset, kafka_index, kind, symbol) *
     from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[],
                 $6::timestamptz[], $7::text[], $8::float8[], $9::float8[], $10::float8[])
              as found (source, kafka_partition, kafka_offset, kafka_index, symbol, time, kind,
                        score, observed, expected)
     order by source, kafka_partition, kafka_offset, kafka_index, kind, symbol, score desc, time),
    gone as
    (delete from anomalies a
     where a.time >= $11 and a.time < $11 + interval '1 hour' and a.detector = $12
       and (a.version <> $13
            or not exists (select from found f
                           where f.source = a.source and f.kafka_partition = a.kafka_partition
                             and f.kafka_offset = a.kafka_offset and f.kafka_index = a.kafka_index
                             and f.kind = a.kind and f.symbol = a.symbol))
     returning 1),
    written as
    (insert into anomalies as a
         (source, kafka_partition, kafka_offset, kafka_index, symbol, time, kind, score, observed,
          expected, detector, version, verdict, reason, judged_at)
     select found.*, $12, $13, 'confirmed', $14, now() from found
     on conflict on constraint anomalies_pkey do update
         set (time, score, observed, expected)
             = (excluded.time, excluded.score, excluded.observed, excluded.expected)
         where (a.time, a.score, a.observed, a.expected)
               is distinct from
               (excluded.time, excluded.score, excluded.observed, excluded.expected)
     returning a.xmax = 0 as is_new)
select (select count(*) from written where is_new), (select count(*) from gone)
