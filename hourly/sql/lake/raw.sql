-- The raw objects that have ticks of an hour, by key. $1: the hour.
select o.key, o.etag, o.size, o.last_modified, o.rejected_lines, o.lacks_offsets, o.decode_rules,
       exists (select from broken_objects b where b.key = o.key) as is_broken,
       bool_and(h.merged) as is_merged, array_agg(h.hour) as hours, sum(h.ticks)::bigint as ticks
from archive_objects o join archive_object_hours h using (key)
where not o.gone and exists (select from archive_object_hours a where a.hour = $1 and a.key = o.key)
group by o.key
order by o.key collate "C"
