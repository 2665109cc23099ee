-- How many sessions both layers have, and the sum of the stored offsets.
select (select count(*) from pg_stat_activity
        where datname = current_database()
          and application_name in ('speed-layer', 'batch-layer')),
       (select coalesce(sum(next_offset), 0)::bigint from kafka_offsets)
