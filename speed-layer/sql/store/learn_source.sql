-- What is learned about a source later. $1: the source, $2: its cluster's id, $3: its topic's id.
update kafka_sources set cluster_id = $2, topic_id = $3 where source = $1
