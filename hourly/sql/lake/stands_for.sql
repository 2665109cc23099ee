-- Hours without some raw objects, for which the lake stands together with those that are there. $1:
-- the hours, $2: how the lake's keys begin, $3: how this run reads objects, $4: the archive's
-- location.
select b.hour
from batch_hours b
where b.hour = any ($1)
  and b.gone_objects > 0
  and b.decode_rules = $3
  and b.location = $4
  and b.ticks <= (select sum(l.rows) from lake_objects l
                  where l.hour = b.hour and l.state = 'verified' and starts_with(l.key, $2))
               + (select coalesce(sum(h.ticks), 0) from archive_object_hours h
                  join archive_objects o using (key)
                  where h.hour = b.hour and h.merged and not o.gone
                    and not exists (select from lake_sources s
                                    where s.hour = h.hour and s.prefix = $2 and s.key = h.key))
  and not exists (select from archive_object_hours h join archive_objects o using (key)
                  where h.hour = b.hour and h.merged
                    and case when o.gone then o.lacks_offsets
                             else o.decode_rules <> $3
                                  or exists (select from lake_sources s
                                             where s.hour = h.hour and s.prefix = $2
                                               and s.key = o.key
                                               and (s.etag <> o.etag
                                                    or s.decode_rules <> o.decode_rules)) end)
