-- How often the offsets of partitions were moved back. $1: sources, $2: their partitions.
select source, partition, rewinds from kafka_offsets
where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
