-- How many objects are broken, how many hours they hold back, and one of them. $1: the kind that
-- does not count.
select (select count(*) from broken_objects where kind <> $1),
       (select count(distinct hour) from blocked_hours join broken_objects using (key)
        where kind <> $1),
       (select concat(key, ', since ', to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                      ' UTC: ', detail)
        from broken_objects where kind <> $1 order by since, key limit 1)
