-- How many lines the objects below folders have, and how many of them are rejected. $1: the
-- folders, each with `/` at its end.
select f.folder, known.lines, known.rejected_lines
from unnest($1::text[]) as f (folder)
         cross join lateral
         (select sum(o.lines)::bigint as lines, sum(o.rejected_lines)::bigint as rejected_lines
          from archive_objects o
          where o.key >= f.folder and o.key < left(f.folder, -1) || '0' and not o.gone) as known
where known.lines is not null
