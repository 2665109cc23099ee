-- Notes a raw object that is about to be deleted, since the lake stands for it. $1: key, $2: etag,
-- $3: size, $4: ticks, $5: hours, $6: keys of the lake, $7: the run.
insert into covered_objects (key, etag, size, ticks, hours, lake_keys, run_id)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (key) do update
    set (etag, size, ticks, hours, lake_keys, run_id, noted_at, deleted_at)
        = (excluded.etag, excluded.size, excluded.ticks, excluded.hours, excluded.lake_keys,
           excluded.run_id, now(), null)
