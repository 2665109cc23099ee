-- The role that Grafana's queries run as. It may read the serving views and nothing else, and change nothing: a
-- dashboard's editor can write any SQL.
--     GRAFANA_DB_PASSWORD=... psql -v ON_ERROR_STOP=1 -f grafana/reader.sql postgres://OWNER@HOST/stocks
-- The PostgreSQL container runs it when it creates its data folder. It may be run again: to change the password, or
-- after views were added. Run before the migrations, it leaves the rights to them.
\getenv password GRAFANA_DB_PASSWORD
select not exists (select from pg_roles where rolname = 'grafana_reader') as is_missing \gset
\if :is_missing
create role grafana_reader;
\endif
alter role grafana_reader login password :'password';
alter role grafana_reader set default_transaction_read_only = on;
alter role grafana_reader set statement_timeout = '30s';
-- Compiling a dashboard's short queries takes longer than running them.
alter role grafana_reader set jit = off;
select to_regprocedure('grant_reading(name)') is not null as is_migrated \gset
\if :is_migrated
select grant_reading('grafana_reader');
\endif
