-- The lake stands no longer for the deleted raw objects of an hour. $1: the hour.
update covered_objects set hours = array_remove(hours, $1)
where hours @> array[$1::timestamptz] and noted_at <= deleted_at
