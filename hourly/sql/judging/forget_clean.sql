-- Takes clean bars away that are created again when the hour is judged, and notes whose ticks are
-- others now. $1: the hour, $2: symbols, null: all, $3: whether ticks of those were added and
-- nothing else has changed.
with minutes as
    (delete from clean_minutes where of_hour = $1 and ($2::text[] is null or symbol = any ($2))),
    hours as
    (delete from clean_hours where of_hour = $1 and ($2::text[] is null or symbol = any ($2)))
update judged_hours
set added_symbols = case when $3::boolean and added_symbols is not null and $2::text[] is not null
                         then added_symbols || $2::text[] end
where hour = $1
