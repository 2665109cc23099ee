-- The hours of which anything is known. $1 and $2: from when to when.
select hour from batch_hours where hour >= $1 and hour < $2
union
select hour from archive_object_hours where hour >= $1 and hour < $2
union
select hour from archive_hours
where hour >= $1 and hour < $2 and status = 'incomplete' and not is_by_offsets
union
select hour from blocked_hours where hour >= $1 and hour < $2
