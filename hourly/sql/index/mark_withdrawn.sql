-- Marks the hours of earlier versions of objects. $1, $2 and $3: keys of objects, their new etags,
-- and how they are read now, $4 and $5: keys and hours of which the new version holds the same.
-- What has the same etag and is read as before is another one, too: a store may list no etags, and
-- what was stored later has ticks that could not be before.
insert into stale_hours (hour, wanted, replaced, reread)
select h.hour, false,
       bool_or(h.summed_content_hash is not null and same.key is null
               and (o.etag <> new.etag or o.decode_rules = new.decode_rules)),
       bool_or(h.summed_content_hash is not null and same.key is null
               and o.decode_rules <> new.decode_rules)
from unnest($1::text[], $2::text[], $3::text[]) as new (key, etag, decode_rules)
         join archive_objects o on o.key = new.key
         join archive_object_hours h on h.key = o.key
         left join unnest($4::text[], $5::timestamptz[]) as same (key, hour)
         on same.key = h.key and same.hour = h.hour
group by h.hour
on conflict (hour) do update
    set (replaced, reread)
        = (stale_hours.replaced or excluded.replaced, stale_hours.reread or excluded.reread)
