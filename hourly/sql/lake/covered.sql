-- Hours that the lake has as they were computed, with every raw object that is there. $1 and $2:
-- from when to when, $3: how the lake's keys begin, $4: how this run reads objects, $5: the
-- archive's location.
select b.hour
from batch_hours b
where b.hour >= $1 and b.hour < $2
  and b.decode_rules = $4
  and b.location = $5
  and b.ticks = (select sum(l.rows) from lake_objects l
                 where l.hour = b.hour and l.state = 'verified' and starts_with(l.key, $3))
  and not exists (select from archive_object_hours h join archive_objects o using (key)
                  where h.hour = b.hour and h.merged
                    and case when o.gone then o.lacks_offsets
                             else o.decode_rules <> $4
                                  or not exists (select from lake_sources s
                                                 where s.hour = h.hour and s.prefix = $3
                                                   and s.key = o.key and s.etag = o.etag
                                                   and s.decode_rules = o.decode_rules) end)
  and (b.gone_objects > 0
       or not exists (select from lake_sources s
                      where s.hour = b.hour and s.prefix = $3
                        and not exists (select from archive_object_hours h
                                        where h.hour = s.hour and h.key = s.key and h.merged)))
