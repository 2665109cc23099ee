-- Notes the raw objects of which the lake has all ticks of an hour. $1: the hour, $2: how the
-- lake's keys begin.
insert into lake_sources (hour, prefix, key, etag, decode_rules)
select h.hour, $2, o.key, o.etag, o.decode_rules
from archive_object_hours h join archive_objects o using (key)
where h.hour = $1 and not o.gone
