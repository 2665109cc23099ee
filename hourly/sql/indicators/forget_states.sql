-- Forgets the states of symbols that have a row in an hour. $1: the hour.
delete from indicator_states
where symbol in (select symbol from hourly_stock_summary where hour = $1)
