-- Notes of which hours sums have earlier versions of objects that hold nothing of them now. $1 and
-- $2: keys and hours of which sums have something, $3 to $6: what they have.
insert into archive_object_hours
    (key, hour, summed_content_hash, summed_offsets_hash, summed_ticks, summed_without_offsets,
     ticks, content_hash, offsets_hash, first_at, last_at)
select key, hour, content_hash, offsets_hash, ticks, without_offsets, 0, 0, 0, hour, hour
from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
         as summed (key, hour, content_hash, offsets_hash, ticks, without_offsets)
on conflict do nothing
