-- Moves the offsets of partitions, returning a row for each that is where it was moved to: a
-- trigger may leave it elsewhere. Where the log ended before such an offset stays known: the batch
-- may be that of an instance which has read the log as it was before. $1: sources, $2: their
-- partitions, $3: the next offsets.
with wanted as
    (select * from unnest($1::smallint[], $2::integer[], $3::bigint[])
                       as moved (source, partition, next_offset)),
    moved as
    (update kafka_offsets o
     set next_offset = w.next_offset, updated_at = now(),
         log_end = case when o.log_end < o.next_offset then o.log_end end,
         rewinds = o.rewinds + (w.next_offset < o.next_offset)::integer
     from wanted w
     where o.source = w.source and o.partition = w.partition
     returning o.source, o.partition, o.next_offset)
select from moved join wanted using (source, partition, next_offset)
