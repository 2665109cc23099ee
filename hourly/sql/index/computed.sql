-- How an hour was computed last. $1: the hour.
select location, gone_objects, objects, ticks, conflicts, duplicates, bars, offsets,
       hour_sums.withdrawn, batch_hours.withdrawn as taken_out, decode_rules,
       (select coalesce(sum(h.summed_without_offsets), 0)::bigint
        from archive_object_hours h join archive_objects o using (key)
        where h.hour = $1 and h.summed_content_hash is not null and o.gone) as gone_without_offsets,
       (select count(*)
        from archive_object_hours h join archive_objects o using (key)
        where h.hour = $1 and h.ticks = 0 and not o.gone) as emptied
from batch_hours left join hour_sums using (hour)
where hour = $1
