-- Deletes what some detectors have found in an hour. $1: the hour, $2: the detectors.
delete from anomalies
where time >= $1 and time < $1 + interval '1 hour' and detector = any ($2)
