-- The hours of which raw objects are there, each with why the lake does not stand for them. $1 and
-- $2: from when to when, $3: how the lake's keys begin, $4: the archive's location, $5: this run,
-- $6: how it reads objects.
with lake as
    (select hour, max(computed_at) as computed_at, sum(rows) as rows, max(run_id) as run_id
     from lake_objects
     where hour >= $1 and hour < $2 and state = 'verified' and starts_with(key, $3)
     group by hour)
select b.hour,
       case when not exists (select from archive_object_hours h join archive_objects o using (key)
                             where h.hour = b.hour and not o.gone and h.merged
                               and not o.lacks_offsets and o.rejected_lines = 0
                               and o.decode_rules = $6
                               and not exists (select from broken_objects x where x.key = o.key))
                then 'none of its objects may go'
            when b.location not in ('', $4) then 'it was computed from another bucket'
            when exists (select from stale_hours s where s.hour = b.hour)
              or exists (select from blocked_hours h where h.hour = b.hour)
              or not exists (select from archive_hours a
                             where a.hour = b.hour and (a.status = 'complete' or a.is_by_offsets))
                then 'it is not complete, or waits for batch-layer'
            when b.conflicts > 0 then 'several objects tell different things of a record'
            when l.hour is null
              or l.computed_at <> b.computed_at and (b.gone_objects = 0 or l.rows <> b.ticks)
                then 'the lake does not have it as it is'
            when l.run_id >= $5
                then 'it was written to the lake by this very run: a later one compares it'
            when exists (select from judged_hours)
                and not exists (select from judged_hours j where j.hour = b.hour)
                then 'batch-layer has not judged its anomalies yet' end as lack
from batch_hours b left join lake l using (hour)
where b.hour >= $1 and b.hour < $2
  and exists (select from archive_object_hours h join archive_objects o using (key)
              where h.hour = b.hour and not o.gone)
order by b.hour
