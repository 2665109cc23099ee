-- Whether two instances of the speed layer are writing.
select count(*) >= 2 from pg_stat_activity
where application_name = 'speed-layer'
  and datname = current_database() and xact_start is not null
