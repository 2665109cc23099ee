-- Run once by the PostgreSQL container when it creates its data folder: the role that Grafana's queries run as.
-- It can read, and change nothing; a dashboard's editor can write any SQL.
\getenv password GRAFANA_DB_PASSWORD
create role grafana_reader login password :'password' in role pg_read_all_data;
alter role grafana_reader set default_transaction_read_only = on;
alter role grafana_reader set statement_timeout = '30s';
