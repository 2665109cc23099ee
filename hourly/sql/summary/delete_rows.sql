-- Deletes rows of an hour, and gives their symbols. $1: the hour, $2: symbols, or null for all.
delete from hourly_stock_summary
where hour = $1 and ($2::text[] is null or symbol = any ($2)) returning symbol
