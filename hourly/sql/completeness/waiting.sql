-- The partition that the archive has been behind with longest, for longer than is allowed.
select topic, partition, waiting_seconds::float8 from archive_lag
where waiting_seconds > allowed_seconds
order by waiting_seconds desc, topic, partition
limit 1
