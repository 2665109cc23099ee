-- Notes how a partition of an hour was compared. $1: the hour, $2: topic, $3: partition, $4 to $19:
-- what was found.
insert into reconciliations
    (hour, topic, partition, status, kafka_from, kafka_to, realtime_ticks, archive_ticks,
     realtime_duplicates, archive_duplicates, rejected, skipped, missing_in_realtime,
     missing_in_archive, missing_everywhere, differing_blocks, realtime_checksum, archive_checksum,
     detail)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
