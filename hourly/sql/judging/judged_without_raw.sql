-- Those of some hours that were judged and have lost raw objects. $1: the hours.
select hour from batch_hours join judged_hours using (hour)
where hour = any ($1) and gone_objects > 0
order by hour
