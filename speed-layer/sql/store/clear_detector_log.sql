-- Forgets what the entries that follow say whole. $1: sources, $2: their partitions.
delete from detector_log
where (source, partition) in (select * from unnest($1::smallint[], $2::integer[]))
