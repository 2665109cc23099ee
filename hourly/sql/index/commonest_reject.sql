-- A line that is rejected for the commonest reason. $1: the folders, each with `/` at its end, $2:
-- how many lines are looked at.
with looked_at as
    (select l.key, l.line, l.reason, l.detail
     from unnest($1::text[]) as f (folder)
              cross join lateral (select * from archive_objects o
                                  where o.key >= f.folder and o.key < left(f.folder, -1) || '0'
                                    and not o.gone and o.rejected_lines > 0
                                  offset 0) as o
              cross join lateral (select * from rejected_lines l where l.key = o.key
                                  offset 0) as l
     limit $2)
select key, line, reason, detail
from looked_at
order by count(*) over (partition by reason) desc, key, line
limit 1
