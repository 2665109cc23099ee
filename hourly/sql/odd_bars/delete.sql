-- Deletes what is not found any more. $1, $2 and $3: symbols, from when and until when, $4: source,
-- $5: partition, $6: the first bar's number, $7 and $8: the detector and its version, $9, $10 and
-- $11: symbols, times and kinds of what is found.
delete from anomalies a
using unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as stale (symbol, since, until)
where a.source = $4 and a.kafka_partition = $5 and a.kafka_offset >= $6 and a.detector = $7
  and a.symbol = stale.symbol and a.time >= stale.since and a.time < stale.until
  and (a.version <> $8
       or not exists (select from unnest($9::text[], $10::timestamptz[], $11::text[])
                      as new (symbol, time, kind)
                      where new.symbol = a.symbol and new.time = a.time and new.kind = a.kind))
