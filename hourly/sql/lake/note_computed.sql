-- Notes that hours were computed again from objects of the lake. $1: their keys.
update lake_objects l set computed_at = b.computed_at
from batch_hours b
where l.key = any ($1) and b.hour = l.hour
