-- Each partition's ticks in the order in which they were written. Volumes as the speed layer makes
-- floating-point numbers of them.
select source, kafka_partition, kafka_offset, kafka_index, symbol,
       (extract(epoch from timestamp) * 1000000)::bigint                             as micros,
       (close * 1000000000)::bigint                                                  as price,
       coalesce(trunc(volume), 0)::float8                                            as whole,
       coalesce((volume - trunc(volume)) * 1000000000, 0)::float8                    as nanos,
       (bid * 1000000000)::bigint                                                    as bid,
       (ask * 1000000000)::bigint                                                    as ask,
       sequence, conditions
from realtime_stock
order by source, kafka_partition, kafka_offset, kafka_index
