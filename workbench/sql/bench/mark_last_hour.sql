-- Marks the last hour's indicators as to be computed.
insert into stale_indicators
select symbol, max(hour) from hourly_stock_summary group by symbol
