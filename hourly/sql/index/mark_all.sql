-- Marks all hours of which anything is known. $1 and $2: from when to when, $3: which not.
insert into stale_hours (hour, wanted, replaced)
select hour, false, false
from (select hour from batch_hours union select hour from archive_object_hours) as known
where hour >= $1 and hour < $2 and hour <> all ($3)
on conflict (hour) do nothing
