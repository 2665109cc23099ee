-- Notes that stale hours must not wait for a window. $1: the hours.
update stale_hours set wanted = true where hour = any ($1) and not wanted
