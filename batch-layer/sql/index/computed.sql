-- How an hour was computed last. $1: the hour.
select location, gone_objects, objects, ticks, conflicts, duplicates, bars, offsets,
       hour_sums.withdrawn, batch_hours.withdrawn as taken_out, format,
       (select coalesce(sum(h.summed_placeless), 0)::bigint
        from archive_object_hours h join archive_objects o using (key)
        where h.hour = $1 and h.summed is not null and o.gone) as gone_placeless,
       (select count(*)
        from archive_object_hours h join archive_objects o using (key)
        where h.hour = $1 and h.ticks = 0 and not o.gone) as emptied
from batch_hours left join hour_sums using (hour)
where hour = $1
