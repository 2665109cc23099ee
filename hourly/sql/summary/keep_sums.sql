-- Keeps the sums of an hour. $1: the hour, $2: bars, $3: offsets, $4: withdrawn offsets.
insert into hour_sums (hour, bars, offsets, withdrawn) values ($1, $2, $3, $4)
on conflict (hour) do update
    set (bars, offsets, withdrawn) = (excluded.bars, excluded.offsets, excluded.withdrawn)
