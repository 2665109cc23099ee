-- What the tables have of an hour. $1 and $2: where it begins and ends, $3: the archive's location.
select (select coalesce(sum(ticks), 0)::bigint
        from minute_bars where minute >= $1 and minute < $2) as bars,
       (select coalesce(sum(ticks), 0)::bigint from hour_bars where hour = $1) as hour_bars,
       (select ticks from batch_hours where hour = $1) as summaries,
       (select coalesce(sum(ticks), 0)::bigint
        from hourly_stock_summary where hour = $1) as summed_ticks,
       (select count(*) from hourly_stock_summary where hour = $1) as summed_symbols,
       coalesce((select symbols from batch_hours where hour = $1), 0) as symbols,
       (select computed_at from batch_hours where hour = $1) as computed_at,
       coalesce((select gone_objects from batch_hours where hour = $1), 0) as gone_objects,
       (select count(*)::integer from deleted_objects where hour = $1 and not is_accepted)
           as deleted_objects,
       (select count(*)::integer
        from deleted_objects d join archive_object_hours h using (hour, key)
        where d.hour = $1 and not d.is_accepted and h.summed_content_hash is null)
           as unsummed_objects,
       coalesce((select conflicts from batch_hours where hour = $1), 0) as conflicts,
       coalesce((select location = $3 from batch_hours where hour = $1), false)
           as is_of_this_archive,
       exists (select from stale_hours where hour = $1) as stale,
       not exists (select from dropped_days where day = ($1 at time zone 'UTC')::date) as has_day
