-- Records where a source ends that another one has taken the place of. $1: the source, $2: why.
insert into kafka_gaps (source, partition, from_offset, to_offset, detail)
select source, partition, next_offset, next_offset, $2 from kafka_offsets where source = $1
