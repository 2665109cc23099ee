-- Takes back what was said of an hour's anomalies. $1: the hour.
update anomalies set (verdict, reason, judged_at) = ('provisional', null, null)
where time >= $1 and time < $1 + interval '1 hour' and verdict <> 'provisional'
