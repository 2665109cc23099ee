-- Whether an object that was read in one way holds a tick. $1: how it was read.
select exists (select from archive_objects o join archive_object_hours h on h.key = o.key
               where o.decode_rules = $1 and h.ticks > 0)
