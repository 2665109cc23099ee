-- Says of hours whether the archive shows them whole, and if not, why. $1: hours that were listed,
-- $2 and $3: hours all of whose lines are rejected, and how many lines, $4 and $5: hours with a
-- hole in their offsets, and what is missing.
with asked (hour) as
    (select unnest($1::timestamptz[])
     union select unnest($4::timestamptz[])
     union select hour from deleted_objects where hour <= now() - interval '1 hour'
     union select hour from archive_hours where is_by_offsets
     -- Where these are there again, nothing else asks about an hour outside of the window.
     union select hour from archive_hours
           where status = 'incomplete'
             and (reason like '% of its objects % deleted, though %'
                  or reason like '% of its objects % gone before %')),
judged as
    (select h.hour, s.ticks as speed_ticks, b.ticks as batch_ticks, m.why as hole,
            case when c.missing > 0 then c.example end as example,
            case
                when k.key is not null then 'an object cannot be read: ' || k.key
                when d.hour is not null and b.hour is null then 'it was not computed yet'
                when d.hour is not null then 'its objects have changed since it was computed'
                when x.unsummed > 0
                    then case x.unsummed
                             when 1 then 'one of its objects was gone before it was written with its ticks: '
                             else x.unsummed
                                      || ' of its objects were gone before it was written with their ticks: '
                         end || x.unsummed_key
                when x.objects is not null
                    then case x.objects
                             when 1 then 'one of its objects was deleted, though it had not expired: '
                             else x.objects
                                      || ' of its objects were deleted, though they had not expired: '
                         end || x.key
                when b.hour is null and r.lines is not null
                    then 'all ' || r.lines
                             || ' lines in its folder are rejected (table rejected_lines says why)'
                when b.hour is null and s.hour is not null then 'the archive has no ticks of it'
                when greatest(s.ticks - b.ticks - b.withdrawn, c.missing) > 0
                    then case greatest(s.ticks - b.ticks - b.withdrawn, c.missing)
                             when 1 then '1 tick of the speed layer is not in the archive'
                             else greatest(s.ticks - b.ticks - b.withdrawn, c.missing)
                                      || ' ticks of the speed layer are not in the archive'
                         end
            end as lack,
            case
                when b.withdrawn > 0 and s.ticks > b.ticks
                    then least(b.withdrawn, s.ticks - b.ticks)
                             || ' records were taken out: replaced by a version without them, '
                             || 'or by --allow-shrink'
                when s.hour is null then
                   'the speed layer has no ticks of it: nothing tells whether the archive shows all'
            end as doubt
     from asked h
              left join (select hour, sum(ticks)::bigint as ticks
                         from hour_bars where hour in (select hour from asked) group by hour) s
                        on s.hour = h.hour
              left join batch_hours b on b.hour = h.hour
              left join compared_hours c on c.hour = h.hour and c.computed_at = b.computed_at
              left join (select hour, min(key) as key from blocked_hours group by hour) k
                  on k.hour = h.hour
              left join stale_hours d on d.hour = h.hour
              left join (select d.hour, count(*) as objects, min(key) as key,
                                count(*) filter (where o.summed_content_hash is null) as unsummed,
                                min(key) filter (where o.summed_content_hash is null)
                                    as unsummed_key
                         from deleted_objects d left join archive_object_hours o using (hour, key)
                         where not d.is_accepted group by d.hour) x on x.hour = h.hour
              left join unnest($2::timestamptz[], $3::bigint[]) as r (hour, lines)
                  on r.hour = h.hour
              left join unnest($4::timestamptz[], $5::text[]) as m (hour, why) on m.hour = h.hour
     where coalesce(s.hour, b.hour, k.hour, d.hour, m.hour, x.hour) is not null),
-- Of others nothing is known any more: their last ticks were taken out, or their holes are filled.
gone as
    (delete from archive_hours
     where hour in (select hour from asked) and hour not in (select hour from judged))
insert into archive_hours as known
    (hour, status, reason, speed_ticks, batch_ticks, is_by_offsets, example, listed_at)
select hour, case when lack is null and hole is null then 'complete' else 'incomplete' end,
       coalesce(lack, hole, doubt), speed_ticks, batch_ticks, lack is null and hole is not null,
       example,
       case when hour = any ($1) then now() else '-infinity' end
from judged
on conflict (hour) do update
    set (status, reason, speed_ticks, batch_ticks, is_by_offsets, example, listed_at, since)
        = (excluded.status, excluded.reason, excluded.speed_ticks, excluded.batch_ticks,
           excluded.is_by_offsets, excluded.example, greatest(known.listed_at, excluded.listed_at),
           case when known.status = excluded.status then known.since else now() end)
