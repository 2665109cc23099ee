-- Transactions that were left prepared.
select gid from pg_prepared_xacts where database = current_database()
