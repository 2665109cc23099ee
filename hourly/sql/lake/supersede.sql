-- Lets the objects of an hour count no more. $1: the hour, $2: how their keys begin.
update lake_objects set state = 'superseded'
where hour = $1 and state = 'verified' and starts_with(key, $2)
