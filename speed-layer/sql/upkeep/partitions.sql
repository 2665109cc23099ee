-- Every day partition, how many rows were ever inserted into it, and whether it has the index of a
-- finished day.
select p.name, p.to_time, coalesce(s.n_tup_ins, 0),
       exists (select from pg_index i
               where i.indrelid = p.partition and i.indisvalid
                 and pg_get_indexdef(i.indexrelid) like '%(symbol, "timestamp")')
from realtime_partitions p
     left join pg_stat_user_tables s on s.relid = p.partition
where p.is_ours and p.to_time is not null
order by p.to_time
