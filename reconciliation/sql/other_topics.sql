-- The topics of which realtime_stock has ticks of other sources. $1 and $2: from when to when, $3:
-- the sources.
select distinct coalesce(s.topic, 'source ' || r.source || ', which kafka_sources lacks')
from (select distinct source
      from realtime_stock
      where timestamp >= $1 and timestamp < $2 and source <> all ($3)) r
         left join kafka_sources s on s.source = r.source
