-- Ends the transactions of runs that are dead, and counts them: such a run is frozen or gone in the
-- middle of them. Dead is one that is silent for $1 seconds, or for some beats since the session is
-- gone that its heart beat in. $2 and $3: the advisory locks of sessions and of transactions.
with held as materialized
    (select ('x' || left(token::text, 8))::bit(32)::integer::oid as number from batch_lock
     where (heartbeat_at < now() - make_interval(secs => $1)
            or session is not null
               and heartbeat_at < now() - make_interval(secs => least($1 / 3, 10))
               and not exists (select from pg_locks
                               where locktype = 'advisory' and objsubid = 2 and granted
                                 and classid = $2::integer::oid and objid = session::oid
                                 and database = (select oid from pg_database
                                                 where datname = current_database())))),
ended as materialized
    (select distinct pid
     from held
              join pg_locks on locktype = 'advisory' and objsubid = 2
                               and classid = $3::integer::oid and objid = number
              join pg_stat_activity using (pid)
     where datname = current_database() and usename = current_user and pid <> pg_backend_pid())
select count(*) from ended where pg_terminate_backend(pid)
