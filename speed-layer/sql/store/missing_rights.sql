-- Rights that a run needs and this user does not have (migrations/grants.sql), as one text.
select coalesce(string_agg(missing, ', '), '')
from (select privilege || ' on ' || name as missing
      from (values ('realtime_stock', '{insert}'::text[]),
                  ('minute_bars', '{select, insert, update}'),
                  ('hour_bars', '{select, insert, update}'),
                  ('rejected_ticks', '{insert}'),
                  ('kafka_sources', '{select, insert, update}'),
                  ('kafka_offsets', '{select, insert, update}'),
                  ('started_partitions', '{select, insert}'),
                  ('kafka_gaps', '{select, insert}'),
                  ('realtime_partitions', '{select}'),
                  ('realtime_upkeep', '{select, update}'),
                  ('anomalies', '{insert}'),
                  ('detector_log', '{select, insert, delete}'),
                  ('speed_instances', '{select, insert, update, delete}')) as needed (name, privileges),
           unnest(privileges) as privilege
      where not has_table_privilege(name, privilege)
      union all
      select 'execute on make_realtime_days'
      where not has_function_privilege('make_realtime_days(date[])', 'execute')) as needed
