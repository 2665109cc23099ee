-- Writes what is found, and says of each whether it is new. $1: source, $2: partition, $3 and $4:
-- the detector and its version, $5: the reason, $6: numbers of bars, $7: symbols, $8: times, $9:
-- kinds, $10: scores, $11: observed, $12: expected.
insert into anomalies as a
    (source, kafka_partition, kafka_index, detector, version, verdict, reason, judged_at,
     kafka_offset, symbol, time, kind, score, observed, expected)
select $1, $2, 0, $3, $4, 'confirmed', $5, now(), found.*
from unnest($6::bigint[], $7::text[], $8::timestamptz[], $9::text[], $10::float8[], $11::float8[],
            $12::float8[]) as found
on conflict on constraint anomalies_pkey do update
    set (score, observed, expected) = (excluded.score, excluded.observed, excluded.expected)
    where (a.score, a.observed, a.expected)
              is distinct from (excluded.score, excluded.observed, excluded.expected)
-- Whether it is new.
returning a.xmax = 0
