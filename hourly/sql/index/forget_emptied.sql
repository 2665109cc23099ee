-- Forgets of an hour which objects hold nothing of it any more. Of those that are gone its sums may
-- have an earlier version still. $1: the hour.
delete from archive_object_hours h
using archive_objects o
where h.hour = $1 and h.ticks = 0 and o.key = h.key
  and (h.summed_content_hash is null or not o.gone)
