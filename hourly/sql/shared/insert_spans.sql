-- Notes where the records of an hour lie. $1: the hour, $2, $3, $4 and $5: topics, partitions,
-- first and last offsets, $6: all offsets.
insert into hour_spans (hour, topic, partition, first_offset, last_offset, offsets)
select $1, * from unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bytea[])
