-- How many of these rows are there. $1: sources, $2: partitions, $3: offsets, $4: elements.
select count(*) from rejected_ticks r
join unnest($1::smallint[], $2::integer[], $3::bigint[], $4::smallint[])
     as given (source, kafka_partition, kafka_offset, kafka_index)
     using (source, kafka_partition, kafka_offset, kafka_index)
