-- Records offsets that are skipped. $1: sources, $2: their partitions, $3: the first offset of each
-- gap, $4: the one after its last, $5: why.
insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
select * from unnest($1::smallint[], $2::integer[], $3::bigint[], $4::bigint[], $5::text[])
