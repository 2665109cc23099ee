-- The hours that the lake does not have as they were computed, and what keeps each from being
-- written. $1 and $2: from when to when, $3: how this run reads objects, $4: how the lake's keys
-- begin, $5: hours to be written again, $6: the archive's location, $7: hours of which the lake has
-- lost ticks.
with lake as
    (select hour, max(computed_at) as computed_at, sum(rows) as rows
     from lake_objects
     where hour >= $1 and hour < $2 and state = 'verified' and starts_with(key, $4)
     group by hour),
uncovered as
    (select b.hour, b.ticks, b.computed_at, b.gone_objects, b.location, l.rows as lake_rows
     from batch_hours b left join lake l using (hour)
     where b.hour >= $1 and b.hour < $2
       and (b.hour = any ($5)
            or l.computed_at is distinct from b.computed_at
               -- An hour whose objects have expired is in the lake with all of its ticks.
               and (b.gone_objects = 0 or l.rows is distinct from b.ticks)))
select u.hour, u.ticks, u.computed_at, u.gone_objects > 0 or of_hour.objects = 0 as has_expired,
       case when exists (select from stale_hours s where s.hour = u.hour)
              or exists (select from blocked_hours h where h.hour = u.hour)
              or not exists (select from archive_hours a
                             where a.hour = u.hour and (a.status = 'complete' or a.is_by_offsets))
                then 'unready'
            when u.location not in ('', $6) then 'elsewhere'
            -- What the lake has had, and lake_objects has lost.
            when u.lake_rows is null
                and exists (select from covered_objects c cross join unnest(c.lake_keys) as kept
                            where c.hours @> array[u.hour] and c.deleted_at is not null
                              and starts_with(kept, $4)) then 'forgotten'
            -- What has expired may be in the lake.
            when (u.gone_objects > 0 or of_hour.objects = 0)
                and (u.lake_rows is null or u.hour = any ($7)) then 'expired'
            when of_hour.lacks_offsets then 'without_offsets'
            when of_hour.is_read_otherwise then 'otherwise'
            else 'due' end as status
from uncovered u
     cross join lateral
         (select count(*) as objects, bool_or(o.lacks_offsets) as lacks_offsets,
                 bool_or(o.decode_rules <> $3) as is_read_otherwise
          from archive_object_hours h join archive_objects o using (key)
          where h.hour = u.hour and not o.gone) as of_hour
order by u.hour
