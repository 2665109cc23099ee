-- The hours that are to be judged, newer ones first. $1: the detectors, $2 and $3: the window, $4:
-- how this run reads objects, $5: the kinds that may have begun in the hour before.
with late as materialized
    (select distinct date_trunc('hour', a.time, 'UTC') as hour
     from anomalies a join judged_hours j on j.hour = date_trunc('hour', a.time, 'UTC')
     where a.verdict = 'provisional' and a.found_at > j.judged_at - interval '10 minutes')
select b.hour, b.hour >= $2 and b.hour < $3, b.gone_objects > 0
from batch_hours b left join judged_hours j using (hour)
where b.decode_rules = $4
  and (b.gone_objects = 0
       or exists (select from lake_objects l where l.hour = b.hour and l.state = 'verified'))
  and not exists (select from stale_hours s where s.hour = b.hour)
  and (j.detectors is distinct from $1
       or b.computed_at > j.judged_at
       or b.hour in (select hour from late)
       or exists (select from batch_hours n
                  where n.hour = b.hour + interval '1 hour' and n.start_changed_at > j.judged_at)
       or exists (select from batch_hours n
                  where n.hour = b.hour - interval '1 hour'
                    and (n.end_changed_at > j.judged_at
                         or n.computed_at > j.judged_at
                            and exists (select from anomalies a
                                        where a.time >= b.hour
                                          and a.time < b.hour + interval '1 hour'
                                          and a.kind = any ($5)))))
order by b.hour desc
