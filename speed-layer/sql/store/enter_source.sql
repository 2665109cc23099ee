-- Enters a source, and gives its number. $1: its group, $2: the id of its cluster, $3: its topic,
-- $4: the id of the topic, $5: how many partitions that has. Without the key, which a restore makes
-- last, it fails: what is entered before that would be there twice.
insert into kafka_sources (group_id, cluster_id, topic, topic_id, partitions)
values ($1, $2, $3, $4, $5)
on conflict (source) do nothing
returning source
