-- Whether an object below a prefix was ever seen. $1: the prefix.
select exists (select from archive_objects where starts_with(key, $1))
