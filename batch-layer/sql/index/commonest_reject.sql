-- A line that is rejected for the commonest reason. $1: the folders, $2: how many lines are looked
-- at.
with looked_at as
    (select l.key, l.line, l.reason, l.detail
     from archive_objects o join rejected_lines l on l.key = o.key
     where o.folder = any ($1) and not o.gone and o.rejected_lines > 0
     limit $2)
select key, line, reason, detail
from looked_at
order by count(*) over (partition by reason) desc, key, line
limit 1
