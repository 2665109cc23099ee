-- Temporary tables for what was sent and what was archived. `fate` is what the sender says must
-- become of the record, if it says so. Nine digits are what a price keeps.
create temporary table sent
(
    kafka_partition integer, kafka_offset bigint, fate text, sha256 bytea,
    symbol text, timestamp timestamptz,
    open numeric(40, 9), high numeric(40, 9), low numeric(40, 9), close numeric(40, 9),
    volume numeric(40, 9)
);
create temporary table archived (like sent);
set work_mem = '128MB'
