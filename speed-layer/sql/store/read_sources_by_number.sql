-- The topics of these sources. $1: the numbers.
select source, cluster_id, topic, topic_id from kafka_sources where source = any($1)
