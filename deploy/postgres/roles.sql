-- The database's roles, each with the least rights:
--   stocks_owner    owns the tables and runs the migrations; no long-running program logs in as it
--   speed_writer    speed-layer --migrations check
--   batch_writer    batch-layer --migrations check
--   grafana_reader  dashboards
-- Run in the database of the stocks, before the first migration; again at any time, it changes
-- nothing. By a superuser, or by the database's owner with CREATEROLE, which is what RDS, Cloud SQL
-- and Azure give:
--   psql --dbname stocks --set ON_ERROR_STOP=1 --file deploy/postgres/roles.sql
-- Passwords are set apart, so that none stands in a file of the project:  \password speed_writer
-- and so on. The rights on single tables are in migrations/grants.sql, which each migration run
-- applies.
begin;

do
$$
declare
    role text;
begin
    foreach role in array '{stocks_owner, speed_writer, batch_writer, grafana_reader}'::text[]
    loop
        if not exists (select from pg_roles where rolname = role) then
            execute format('create role %I login', role);
        end if;
        -- A new role has none of these. To take one away needs a superuser.
        if exists (select from pg_roles where rolname = role
                   and (rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls)) then
            raise exception 'role % exists and may do more than it should', role
                using hint = format('as superuser: alter role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls', role);
        end if;
        execute format('alter role %I login', role);
        execute format('grant connect on database %I to %I', current_database(), role);
        execute format('grant usage on schema public to %I', role);
    end loop;
    execute format('revoke all on database %I from public', current_database());
    -- Temporary tables: ticks are put back by one (docs/operations.md, HourNotReconciled).
    execute format('grant create, temporary on database %I to stocks_owner', current_database());
end
$$;

-- PostgreSQL 14 and older let everybody make objects there, which a definer's function or a
-- careless query may then run.
revoke all on schema public from public;
grant create on schema public to stocks_owner;

-- Without the right to grant these, PostgreSQL only warns.
do
$$
begin
    if not has_schema_privilege('stocks_owner', 'public', 'create')
        or not has_database_privilege('stocks_owner', current_database(), 'create')
        or not has_database_privilege('stocks_owner', current_database(), 'temporary')
        or has_database_privilege('speed_writer', current_database(), 'create, temporary') then
        raise exception 'user % may not grant rights on database % and its schema public', current_user, current_database()
            using hint = 'run this as the owner of both: alter database .. owner to ..; alter schema public owner to ..';
    end if;
end
$$;

-- Whoever edits a dashboard can write any query; it must end, and a mistake must not change
-- anything.
alter role grafana_reader set default_transaction_read_only = on;
alter role grafana_reader set statement_timeout = '30s';
-- Compiling a dashboard's short queries takes longer than running them.
alter role grafana_reader set jit = off;
-- A few symbols out of many lie all over a table. On disks without a moving head their index is the
-- way to them.
alter role grafana_reader set random_page_cost = 1.1;
-- A writer whose process hangs must not hold up the other writers for ever.
alter role speed_writer set idle_in_transaction_session_timeout = '5min';
alter role batch_writer set idle_in_transaction_session_timeout = '5min';

commit;
