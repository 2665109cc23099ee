-- Whether an object below a prefix was ever seen, or none anywhere. $1: the prefix.
select exists (select from archive_objects where starts_with(key, $1))
       or not exists (select from archive_objects)
