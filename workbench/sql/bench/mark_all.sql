-- Marks every hour's indicators as to be computed.
insert into stale_indicators
select symbol, min(hour) from hourly_stock_summary group by symbol
