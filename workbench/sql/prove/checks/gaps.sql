-- Gaps that were recorded.
select format('%s/%s [%s, %s)', topic, partition, from_offset, to_offset) from ingest_gaps
