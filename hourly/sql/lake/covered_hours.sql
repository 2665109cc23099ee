-- The hours of which the lake stands for raw objects. $1 and $2: from when to when.
select distinct hour from covered_objects cross join unnest(hours) as hour
where hour >= $1 and hour < $2
