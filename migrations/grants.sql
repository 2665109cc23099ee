-- What each role of deploy/postgres/roles.sql may do, as far as role and table exist. Run after the
-- migrations each time, by their owner; a right that is there already is not granted again, so that
-- a start changes nothing in the catalogue.
do
$$
declare
    missing record;
begin
    -- One at a time. Unlike an advisory lock, this is one that a reader cannot take.
    lock table public._sqlx_migrations in share row exclusive mode;
    for missing in
        with tables (role, relation, privileges) as (values
            -- Appends ticks, but can neither read nor change them in the table itself.
            ('speed_writer', 'realtime_stock', '{insert}'::text[]),
            ('speed_writer', 'minute_bars', '{select, insert, update}'),
            ('speed_writer', 'hour_bars', '{select, insert, update}'),
            ('speed_writer', 'rejected_ticks', '{insert}'),
            ('speed_writer', 'anomalies', '{insert}'),
            ('speed_writer', 'detector_log', '{select, insert, delete}'),
            ('speed_writer', 'kafka_sources', '{select, insert, update}'),
            ('speed_writer', 'kafka_offsets', '{select, insert, update}'),
            ('speed_writer', 'started_partitions', '{select, insert}'),
            ('speed_writer', 'kafka_gaps', '{select, insert}'),
            ('speed_writer', 'realtime_partitions', '{select}'),
            ('speed_writer', 'realtime_upkeep', '{select, update}'),
            ('speed_writer', 'speed_instances', '{select, insert, update, delete}'),
            ('speed_writer', '_sqlx_migrations', '{select}'),
            ('batch_writer', 'hourly_stock_summary', '{select, insert, update, delete}'),
            ('batch_writer', 'batch_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'batch_runs', '{select, insert, update}'),
            ('batch_writer', 'stale_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'archive_objects', '{select, insert, update, delete}'),
            ('batch_writer', 'archive_object_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'broken_objects', '{select, insert, update, delete}'),
            ('batch_writer', 'blocked_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'deleted_objects', '{select, insert, update, delete}'),
            ('batch_writer', 'hour_sums', '{select, insert, update, delete}'),
            ('batch_writer', 'anomalies', '{select, insert, update, delete}'),
            ('batch_writer', 'judged_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'stale_bars', '{select, insert, update, delete}'),
            ('batch_writer', 'bar_detector_version', '{select, insert, update}'),
            ('batch_writer', 'clean_minutes', '{select, insert, update, delete}'),
            ('batch_writer', 'clean_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'hour_spans', '{select, insert, update, delete}'),
            ('batch_writer', 'shared_records', '{select, insert, update, delete}'),
            ('batch_writer', 'batch_lock', '{select, insert, update, delete}'),
            ('batch_writer', 'batch_stretches', '{select, insert, update, delete}'),
            ('batch_writer', 'archive_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'archive_high_offsets', '{select, insert, update}'),
            ('batch_writer', 'archive_lag_check', '{select, insert, update}'),
            ('batch_writer', 'missing_offsets', '{select, insert, update, delete}'),
            ('batch_writer', 'compared_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'covered_objects', '{select, insert, update, delete}'),
            ('batch_writer', 'lake_objects', '{select, insert, update, delete}'),
            ('batch_writer', 'lake_sources', '{select, insert, delete}'),
            ('batch_writer', 'rejected_lines', '{select, insert, update, delete}'),
            ('batch_writer', 'technical_indicators', '{select, insert, update, delete}'),
            ('batch_writer', 'stale_indicators', '{select, insert, update, delete}'),
            ('batch_writer', 'indicator_states', '{select, insert, update, delete}'),
            -- Locked while indicators are computed, for which PostgreSQL wants the right to update.
            ('batch_writer', 'exchange', '{select, update}'),
            -- `batch-layer verify` compares the archive with what the speed layer has written.
            ('batch_writer', 'reconciled_hours', '{select, insert, update, delete}'),
            ('batch_writer', 'reconciliations', '{select, insert, update, delete}'),
            ('batch_writer', 'realtime_stock', '{select}'),
            ('batch_writer', 'minute_bars', '{select}'),
            ('batch_writer', 'hour_bars', '{select}'),
            ('batch_writer', 'archive_lag', '{select}'),
            ('batch_writer', 'rejected_ticks', '{select}'),
            ('batch_writer', 'kafka_sources', '{select}'),
            ('batch_writer', 'kafka_offsets', '{select}'),
            ('batch_writer', 'kafka_gaps', '{select}'),
            ('batch_writer', 'ingest_positions', '{select}'),
            ('batch_writer', 'ingest_gaps', '{select}'),
            ('batch_writer', 'dropped_days', '{select}'),
            ('batch_writer', '_sqlx_migrations', '{select}')
        ),
        -- Dashboards read every view of the schema, no table but the indicators, and change
        -- nothing.
        readable as (
            select 'grafana_reader', relname::text, '{select}'::text[]
            from pg_class
            where relnamespace = 'public'::regnamespace
              and (relkind in ('v', 'm') or relname = 'technical_indicators')
        )
        -- Where role or table is not there, "has the right" is null.
        select role, privilege, 'table public.' || quote_ident(relation) as object
        from (table tables union all table readable) as wanted
             cross join unnest(privileges) as privilege
        where has_table_privilege(to_regrole(role), to_regclass('public.' || quote_ident(relation)), privilege) = false
        union all
        select 'speed_writer', 'execute', 'function ' || signature
        from unnest('{"public.make_realtime_days(date[])", "public.seal_realtime_day(text)",
                      "public.drop_realtime_day(text, integer, boolean)", public.realtime_horizon()}'::text[]) as signature
        where has_function_privilege(to_regrole('speed_writer'), signature, 'execute') = false
    loop
        execute format('grant %s on %s to %I', missing.privilege, missing.object, missing.role);
    end loop;
end
$$;
