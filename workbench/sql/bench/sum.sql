-- One text of all rows that users see: the same where the rows are the same.
select concat(
           (select sum(hashtextextended((to_jsonb(s) - 'computed_at')::text, 0))
            from hourly_stock_summary s), ' ',
           (select sum(hashtextextended((to_jsonb(i) - 'computed_at')::text, 0))
            from technical_indicators i), ' ',
           (select count(*) from judged_hours), ' ', (select count(*) from stale_hours))
