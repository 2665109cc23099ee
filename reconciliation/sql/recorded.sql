-- What batch_hours says of an hour's objects, and what the index has of them, unless the hour is
-- stale. $1: the hour.
select b.objects, b.gone_objects, b.withdrawn, s.withdrawn as places, b.location, b.decode_rules,
       there.objects as there, there.decode_rules_read
from batch_hours b
         left join hour_sums s using (hour),
     lateral (select count(*) as objects,
                     array_agg(distinct o.decode_rules) filter (where o.decode_rules is not null)
                         as decode_rules_read
              from archive_object_hours h join archive_objects o using (key)
              where h.hour = b.hour and h.merged and not o.gone) as there
where b.hour = $1 and not exists (select from stale_hours t where t.hour = b.hour)
