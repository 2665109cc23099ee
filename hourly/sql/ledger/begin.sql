-- Notes that a run begins. $1: arguments, $2: engine, $3: whether it looks at all of its usual
-- window, $4: its token, $5 and $6: its window.
insert into batch_runs (arguments, engine, looks_back, token, first_hour, end_hour)
values ($1, $2, $3, $4::uuid, $5, $6) returning run_id
