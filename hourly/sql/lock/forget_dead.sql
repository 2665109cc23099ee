-- Forgets runs that are dead, as end_transactions.sql says it. $1: after how many seconds of
-- silence, $2: the advisory locks of sessions, $3: the token of a run that stays.
delete from batch_lock
where token is distinct from $3::uuid
  and (heartbeat_at < now() - make_interval(secs => $1)
       or session is not null
          and heartbeat_at < now() - make_interval(secs => least($1 / 3, 10))
          and not exists (select from pg_locks
                          where locktype = 'advisory' and objsubid = 2 and granted
                            and classid = $2::integer::oid and objid = session::oid
                            and database = (select oid from pg_database
                                            where datname = current_database())))
