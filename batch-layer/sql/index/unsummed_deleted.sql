-- Objects that were deleted before the sums of an hour had anything of them, by hour and key, with
-- their ticks of it and their lines; without those that a person has accepted.
select d.hour, d.key, h.ticks, o.lines, o.placeless
from deleted_objects d join archive_object_hours h using (hour, key) join archive_objects o using (key)
where not d.is_accepted and h.summed is null and o.gone
order by d.hour, d.key collate "C"
