-- Adds the parts of a source's identity that are learned later. $1: the source, $2: its cluster's
-- id, $3: its topic's id.
update kafka_sources set cluster_id = $2, topic_id = $3 where source = $1
