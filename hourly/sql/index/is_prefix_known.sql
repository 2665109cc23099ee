-- Whether an object below a prefix was ever seen. Where there is none of any prefix, they may have
-- expired: then hours that were computed tell of them, or runs that have read some. $1: the prefix.
select exists (select from archive_objects where starts_with(key, $1))
       or exists (select from covered_objects where starts_with(key, $1))
       or (not exists (select from archive_objects)
           and (exists (select from hourly_stock_summary)
                or exists (select from batch_runs where objects_read > 0)))
