-- Marks the hours of objects, of which none is gone, while their sums keep of others what earlier
-- versions told. $1: keys of the objects.
with kept as
    (update archive_object_hours h set merged = false
     from archive_objects o, batch_hours b
     where h.hour in (select hour from archive_object_hours where key = any ($1))
       and h.merged and h.content_hash <> h.summed_content_hash
       and o.key = h.key and not o.gone and b.hour = h.hour and b.gone_objects = 0
     returning h.hour)
insert into stale_hours (hour, wanted, replaced)
select distinct hour, false, true from kept
on conflict (hour) do update set replaced = true
