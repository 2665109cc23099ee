-- Notes an object of the lake. $1: key, $2: source, $3: hour, $4: when that was computed, $5: size,
-- $6: rows, $7: checksum, $8: digest, $9: state, $10: the run.
insert into lake_objects
    (key, source, hour, computed_at, size, rows, checksum, digest, state, run_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
