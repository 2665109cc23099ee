-- What was found in an hour's ticks as they came. $1: the hour, $2: kinds, $3: the detector with
-- hindsight, which does not count.
select source, kafka_partition, kafka_offset, kafka_index, detector, version, kind, symbol, time,
       score, observed, expected
from anomalies
where time >= $1 and time < $1 + interval '1 hour' and kind = any ($2) and detector <> $3
