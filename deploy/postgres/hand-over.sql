-- Hands tables, views and functions that another user has made in this database over to
-- stocks_owner. For a database that was used before it had roles. Run it after roles.sql and before
-- the next start, as their owner where that one may grant stocks_owner (as who ran roles.sql may),
-- or as a superuser. It touches nothing outside the schema public, and no other database;
-- `reassign owned` would take every database of the old owner along.
--   psql --dbname stocks --set ON_ERROR_STOP=1 --file deploy/postgres/hand-over.sql
-- The next migration run gives all roles their rights:  speed-layer --migrations only, as
-- stocks_owner.
begin;

-- Who gives something away must be a member of those who get it.
do
$$
begin
    if not pg_has_role('stocks_owner', 'usage') then
        execute format('grant stocks_owner to %I', current_user);
    end if;
end
$$;

do
$$
declare
    command text;
begin
    for command in
        select format('alter %s %s owner to stocks_owner',
                      case relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
                      c.oid::regclass)
        from pg_class c
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
          and relowner <> 'stocks_owner'::regrole
          -- What belongs to a column goes with its table, and what belongs to an extension stays.
          and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
                          and (d.deptype = 'e' or relkind = 'S' and d.deptype in ('a', 'i')))
        union all
        select format('alter routine %s owner to stocks_owner', p.oid::regprocedure)
        from pg_proc p
        where pronamespace = 'public'::regnamespace and proowner <> 'stocks_owner'::regrole
          and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    loop
        execute command;
    end loop;
end
$$;

commit;
