-- The partitions that were read before. $1: sources, $2: their partitions.
select source, partition from started_partitions
where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
