-- Whether the statement of session $1 is under way, and who holds locks that it waits for.
select coalesce(waiting.state = 'active', false) as is_active,
       (select string_agg(
                   case when blocking.pid = 0 then 'a prepared transaction'
                        else concat('pid ', blocking.pid, ' (user ', holder.usename,
                                    ', application ' || nullif(holder.application_name, ''),
                                    ', in a transaction since '
                                        || to_char(holder.xact_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                                    ')')
                   end, ', ')
        from (select distinct pid from unnest(pg_blocking_pids($1)) as pid order by pid limit 3) as blocking
             left join pg_stat_activity as holder using (pid)) as holders
from pg_stat_activity as waiting
where waiting.pid = $1
