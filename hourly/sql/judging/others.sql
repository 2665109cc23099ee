-- By which detectors hours were judged within a day. $1: the hours.
select detectors, count(*), min(hour) from judged_hours
where hour = any ($1) and judged_at > now() - interval '1 day'
group by detectors order by 2 desc, 1
