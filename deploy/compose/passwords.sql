-- Run by the job `passwords` of docker-compose.yml at each `up`: PostgreSQL's passwords become what its environment says.
-- The superuser's own is left alone where .env has the demo's: a person may have changed it by hand.
\getenv superuser POSTGRES_PASSWORD
\getenv owner OWNER_DB_PASSWORD
\getenv speed SPEED_DB_PASSWORD
\getenv batch BATCH_DB_PASSWORD
\getenv grafana GRAFANA_DB_PASSWORD
-- All or none, and no statement with a password in the server's log.
begin;
set local log_statement = 'none';
set local log_min_error_statement = 'panic';
set local log_min_duration_statement = -1;
select :'superuser' <> 'stocks' as is_own \gset
\if :is_own
alter role stocks password :'superuser';
\endif
alter role stocks_owner password :'owner';
alter role speed_writer password :'speed';
alter role batch_writer password :'batch';
alter role grafana_reader password :'grafana';
commit;
