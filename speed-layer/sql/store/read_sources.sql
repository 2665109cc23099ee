-- The sources that had a topic's name, the newest first. $1: the name.
select source, group_id, cluster_id, topic_id, partitions from kafka_sources
where topic = $1 order by source desc
