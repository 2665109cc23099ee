-- Notes rejected lines. $1: keys, $2: lines, $3: elements, $4: reasons, $5: details, $6: values,
-- $7: their bytes, $8: partitions, $9: offsets.
insert into rejected_lines
    (key, line, element, reason, detail, value, value_bytes, kafka_partition, kafka_offset)
select *
from unnest($1::text[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::bytea[],
            $7::bigint[], $8::integer[], $9::bigint[])
on conflict do nothing
