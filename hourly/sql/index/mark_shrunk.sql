-- Marks hours that have lost objects, or lack them, unless the lake stands for these. $1 and $2:
-- from when to when.
insert into stale_hours (hour, wanted, replaced)
select hour, false, false from batch_hours b
where hour >= $1 and hour < $2 
  and (gone_objects > 0 or exists (select from deleted_objects d where d.hour = b.hour))
  and not exists (select from covered_objects c where c.hours @> array[b.hour])
on conflict (hour) do nothing
