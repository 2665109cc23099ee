-- How many sessions the speed layer has.
select count(*) from pg_stat_activity
where datname = current_database()
  and application_name in ('speed-layer', 'speed-layer upkeep')
