-- Notes how an hour was computed. $1: the hour, $2: how objects were read, $3: the archive's
-- location, $4: objects that are gone, $5: ticks, $6: symbols, $7: duplicates, $8: records
-- taken out, $9: the run, $10: conflicts, $11 and $12: whether the hours before and behind it are
-- judged by what has changed, too.
insert into batch_hours
    (hour, decode_rules, location, objects, gone_objects, ticks, symbols, duplicates, withdrawn,
     run_id, conflicts, engine)
select $1, $2, $3, $4 + count(*), $4, $5, $6, $7, $8, $9, $10,
       (select engine from batch_runs where run_id = $9)
from archive_object_hours join archive_objects using (key)
where hour = $1 and merged and not gone
on conflict (hour) do update
    set (decode_rules, location, objects, gone_objects, ticks, symbols, duplicates, withdrawn,
         run_id, conflicts, engine, computed_at, start_changed_at, end_changed_at)
        = (excluded.decode_rules, excluded.location, excluded.objects, excluded.gone_objects,
           excluded.ticks, excluded.symbols, excluded.duplicates, excluded.withdrawn,
           excluded.run_id, excluded.conflicts, excluded.engine, now(),
           case when $11 then now() else batch_hours.start_changed_at end,
           case when $12 then now() else batch_hours.end_changed_at end)
