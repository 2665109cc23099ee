-- Whether the session is the server's own, which knows the setting that was given at its start, and
-- whether it takes no writes.
select coalesce(current_setting('stocks.direct', true), ''), current_setting('transaction_read_only')
