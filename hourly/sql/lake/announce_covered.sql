-- Notes a raw object that is about to be deleted, since the lake stands for it. $1: key, $2: etag,
-- $3: size, $4: ticks, $5: hours, $6: keys of the lake, $7: the run. What was deleted and came
-- again may hold less: the lake stands for the rest, too. Its row is noted later than deleted.
insert into covered_objects as c (key, etag, size, ticks, hours, lake_keys, run_id)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (key) do update
    set (etag, size, run_id, ticks, hours, lake_keys, noted_at)
        = (excluded.etag, excluded.size, excluded.run_id,
           case when c.deleted_at is null then excluded.ticks
                else greatest(c.ticks, excluded.ticks) end,
           array(select distinct hour
                 from unnest(case when c.deleted_at is null then excluded.hours
                                  else c.hours || excluded.hours end) as hour
                 order by hour),
           array(select distinct kept
                 from unnest(case when c.deleted_at is null then excluded.lake_keys
                                  else c.lake_keys || excluded.lake_keys end) as kept
                 order by kept),
           greatest(now(), c.deleted_at + interval '1 microsecond'))
