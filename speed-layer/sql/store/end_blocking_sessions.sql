-- Ends sessions of this role that hold up others, and says how many. $1: the writers' name,
-- $2: how old their transactions must be, in seconds, $3: upkeep's name.
with ended as materialized
    (select pid from pg_stat_activity
     where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
       and (application_name = $1 and xact_start < now() - make_interval(secs => $2)
                                  and wait_event is distinct from 'SyncRep'
            or application_name = $3 and xact_start < now() - interval '2 seconds'))
select count(*) from ended where pg_terminate_backend(pid)
