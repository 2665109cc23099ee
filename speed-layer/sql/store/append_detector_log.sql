-- Notes what detectors know. $1: sources, $2: their partitions, $3: whether an entry says all or
-- what has changed, $4: the states.
insert into detector_log (source, partition, is_whole, states)
select * from unnest($1::smallint[], $2::integer[], $3::boolean[], $4::bytea[])
