-- Notes that a computed hour was compared with the speed layer. $1: the hour, $2: when it was
-- computed, $3: ticks of the speed layer, $4: how many of them are missing, $5: one of them.
insert into compared_hours (hour, computed_at, speed_ticks, missing, example)
select $1, $2, $3, $4, $5 where exists (select from batch_hours where hour = $1)
on conflict (hour) do update
    set (computed_at, speed_ticks, missing, example)
        = (excluded.computed_at, excluded.speed_ticks, excluded.missing, excluded.example)
