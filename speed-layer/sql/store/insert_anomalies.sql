-- Writes what the detectors found, an array for each column. $1: sources, $2: partitions, $3:
-- offsets, $4: elements, $5: symbols, $6: times, $7: detectors, $8: their versions, $9: kinds, $10:
-- scores, $11: the observed values, $12: the expected ones. A row that is there already must not
-- hold up the other ticks.
insert into anomalies
    (source, kafka_partition, kafka_offset, kafka_index, symbol, time, detector, version, kind,
     score, observed, expected)
select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[],
                     $6::timestamptz[], $7::text[], $8::integer[], $9::text[], $10::float8[],
                     $11::float8[], $12::float8[])
on conflict do nothing
