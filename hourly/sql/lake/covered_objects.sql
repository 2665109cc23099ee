-- The raw objects that the lake stands for, by hour, with whether they are deleted. $1 and $2: from
-- when to when.
select hour, key, deleted_at is not null from covered_objects cross join unnest(hours) as hour
where hour >= $1 and hour < $2
