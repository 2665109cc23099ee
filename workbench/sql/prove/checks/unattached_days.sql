-- Day partitions that hang in the air: made, but not attached.
select relname::text from pg_class
where relname ~ '^realtime_stock_[0-9]+$' and relkind = 'r'
  and not exists (select from pg_inherits where inhrelid = pg_class.oid)
