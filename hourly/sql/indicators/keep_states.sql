-- Keeps states for the runs to come. $1: interval, $2: symbols, $3: starts, $4: states.
insert into indicator_states (interval, symbol, start, state)
select $1, * from unnest($2::text[], $3::timestamptz[], $4::bytea[])
on conflict on constraint indicator_states_pkey do update
    set (start, state) = (excluded.start, excluded.state)
