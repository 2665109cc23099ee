-- Notes of which hours sums have earlier versions of objects that hold nothing of them now. $1 and
-- $2: keys and hours of which sums have something, $3 to $6: what they have.
insert into archive_object_hours
    (key, hour, summed, summed_places, summed_ticks, summed_placeless, ticks, fingerprint, places,
     first_at, last_at)
select key, hour, content, places, ticks, placeless, 0, 0, 0, hour, hour
from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
         as summed (key, hour, content, places, ticks, placeless)
on conflict do nothing
