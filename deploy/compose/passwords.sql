-- Run by the job `passwords` of docker-compose.yml at each `up`: PostgreSQL's passwords become what
-- its environment says. The superuser's own is left alone where .env has the demo's: a person may
-- have changed it by hand.
\getenv superuser POSTGRES_PASSWORD
\getenv owner OWNER_DB_PASSWORD
\getenv speed SPEED_DB_PASSWORD
\getenv batch BATCH_DB_PASSWORD
\getenv grafana GRAFANA_DB_PASSWORD
-- No statement with a password in the server's log.
set log_statement = 'none';
set log_min_error_statement = 'panic';
set log_min_duration_statement = -1;
-- The superuser's first, and each by itself: the server's port is there already, so a role that is
-- missing leaves no other one the password that it had.
select :'superuser' <> 'stocks' as is_own \gset
\if :is_own
alter role stocks password :'superuser';
\endif
select format('alter role %I password %L', wanted.role, wanted.password)
from (values ('stocks_owner', :'owner'), ('speed_writer', :'speed'), ('batch_writer', :'batch'), ('grafana_reader', :'grafana'))
     as wanted (role, password)
join pg_roles on rolname = wanted.role \gexec
-- Then it ends with 3 where one is missing, and nothing that logs in is started.
do $$ begin
    perform 'stocks_owner'::regrole, 'speed_writer'::regrole, 'batch_writer'::regrole, 'grafana_reader'::regrole;
end $$;
