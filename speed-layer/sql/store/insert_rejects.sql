-- Writes rejected messages, an array for each column. $1: sources, $2: partitions, $3: offsets,
-- $4: which element of its message, $5: reasons, $6: details, $7: the bytes, $8: how many these
-- were, $9: their hash, $10: the time that Kafka says.
insert into rejected_ticks
    (source, kafka_partition, kafka_offset, kafka_index, reason, detail, value, value_bytes,
     value_sha256, kafka_timestamp)
select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[], $5::text[],
                     $6::text[], $7::bytea[], $8::bigint[], $9::bytea[], $10::timestamptz[])
-- A row that is there already must not hold up the other ticks.
on conflict do nothing
