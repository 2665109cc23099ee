-- Run once by the PostgreSQL container of docker-compose.yml, after roles.sql: passwords out of its environment.
\getenv owner OWNER_DB_PASSWORD
\getenv speed SPEED_DB_PASSWORD
\getenv batch BATCH_DB_PASSWORD
\getenv grafana GRAFANA_DB_PASSWORD
alter role stocks_owner password :'owner';
alter role speed_writer password :'speed';
alter role batch_writer password :'batch';
alter role grafana_reader password :'grafana';
