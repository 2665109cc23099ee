-- The last objects, by key, that were read and are there. $1: how their keys begin, $2: how many at
-- most.
select key, etag, size, last_modified from archive_objects o
where starts_with(key, $1) and not gone
  and not exists (select from broken_objects b where b.key = o.key)
order by key desc limit $2
