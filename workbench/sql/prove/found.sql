-- What was found. $1: detectors that do not count.
select source, kafka_partition, kafka_offset, kafka_index, symbol, kind, detector, version, score
from anomalies
where detector <> all ($1)
