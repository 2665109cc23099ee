-- Locks and reads the offsets that no transaction holds at the moment. $1: sources,
-- $2: their partitions.
select source, partition, next_offset, log_end from kafka_offsets
where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
order by source, partition for update skip locked
