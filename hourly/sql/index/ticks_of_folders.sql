-- How many ticks the objects below folders have. $1: the folders, each with `/` at its end.
select f.folder, known.ticks
from unnest($1::text[]) as f (folder)
         cross join lateral
         (select sum(h.ticks)::bigint as ticks
          from archive_objects o
                   cross join lateral (select sum(h.ticks) as ticks
                                       from archive_object_hours h where h.key = o.key) as h
          where o.key >= f.folder and o.key < left(f.folder, -1) || '0' and not o.gone) as known
where known.ticks is not null
