-- Notes what objects have of hours. $1: hours, $2: keys, $3: ticks, $4 and $5: hashes of the
-- contents and of the offsets, $6: whether the hours have that already, $7 to $10: what their sums
-- have, $11 and $12: the first and the last tick, $13: the offsets of those that no sums have, if
-- they are short, $14: ticks without offsets.
insert into archive_object_hours
    (hour, key, ticks, content_hash, offsets_hash, merged, summed_content_hash, summed_offsets_hash,
     summed_ticks, summed_without_offsets, first_at, last_at, offsets, without_offsets)
select *
from unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bool[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
            $11::timestamptz[], $12::timestamptz[], $13::bytea[],
            $14::bigint[])
