-- From which other place an hour with ticks was computed. $1 and $2: from when to when, $3: the
-- place.
select location from batch_hours
where hour >= $1 and hour < $2 and ticks > 0 and location not in ('', $3)
order by hour desc limit 1
