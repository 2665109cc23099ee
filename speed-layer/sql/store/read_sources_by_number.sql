-- What the sources of these numbers are. $1: the numbers.
select source, cluster_id, topic, topic_id from kafka_sources where source = any($1)
