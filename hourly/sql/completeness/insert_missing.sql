-- Notes ranges of offsets that are missing. $1: topic, $2: partition, $3 to $13: a range each, with
-- what lies beside it.
insert into missing_offsets
    (topic, partition, first_offset, last_offset, offsets, before_offset, before_hour, after_offset,
     after_hour, first_folder, last_folder, is_accepted, found_at)
select $1, $2, first_offset, last_offset, offsets, before_offset, before_hour, after_offset,
       after_hour, first_folder, last_folder, is_accepted, coalesce(found_at, now())
from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::bigint[],
            $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::bool[],
            $13::timestamptz[])
         as found (first_offset, last_offset, offsets, before_offset, before_hour, after_offset,
                   after_hour, first_folder, last_folder, is_accepted, found_at)
