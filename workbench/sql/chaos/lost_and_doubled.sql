-- How many messages before the stored offsets are in no table, and how many rows are there twice.
-- $1: the group, $2: the topic.
with found as
    (select kafka_partition as partition,
            count(*) as all_rows, count(distinct kafka_offset) as offsets
     from (select kafka_partition, kafka_offset from realtime_stock
           union all
           select kafka_partition, kafka_offset from rejected_ticks) as rows
     group by kafka_partition)
select coalesce(sum(next_offset - coalesce(offsets, 0)), 0)::bigint,
       coalesce(sum(all_rows - offsets), 0)::bigint
from ingest_positions left join found using (partition)
where group_id = $1 and topic = $2
