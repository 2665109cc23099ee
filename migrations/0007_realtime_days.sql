-- The day partitions of realtime_stock, in a schema of their own. They belong to the owner of
-- realtime_stock: whoever writes ticks can append to them, and neither change nor delete what is in
-- them. What the writer needs to do beyond that are the functions below, each of which does one
-- thing with its owner's right.

create schema realtime_days;

comment on schema realtime_days is 'The partitions of realtime_stock, one a UTC day, made by make_realtime_days().';

-- What is attached to realtime_stock, by whom ever: times tell what a partition holds, not its
-- name. from_time and to_time are null where there is no bound, is_ours is false for what a person
-- has attached. A bound names no column: for the partition's own number pg_get_expr would wait for
-- a lock on it, and so would every new instance.
create view realtime_partitions as
select child.oid                                                      as partition,
       child.relname::text                                            as name,
       bound.text = 'DEFAULT'                                         as is_default,
       substring(bound.text from 'FROM \(''([^'']*)''\)')::timestamptz as from_time,
       substring(bound.text from 'TO \(''([^'']*)''\)')::timestamptz   as to_time,
       child.relnamespace = 'realtime_days'::regnamespace
           and child.relname like 'realtime\_stock\_%'                as is_ours
from pg_inherits i
         join pg_class child on child.oid = i.inhrelid
         cross join lateral pg_get_expr(child.relpartbound, 0) as bound (text)
where i.inhparent = 'public.realtime_stock'::regclass
  -- One whose `detach .. concurrently` was broken off takes no ticks any more.
  and not i.inhdetachpending;

-- Who looks after the days at this moment, and until when nobody else does. Its row is also what
-- makers of days lock: unlike an advisory lock, a role that only reads cannot take it.
create table realtime_upkeep
(
    holder       text        not null,
    leased_until timestamptz not null
);

insert into realtime_upkeep values ('', '-infinity');

-- Days whose ticks are gone because they were older than --retention-days, or were dropped by hand:
-- no difference to the archive.
create table dropped_days
(
    day        date        not null,
    partition  text        not null,
    dropped_at timestamptz not null default now(),
    reason     text        not null,
    constraint dropped_days_pkey primary key (day, partition, dropped_at)
);

-- Makes what is missing to hold these UTC days, and says how many partitions that took. A day that
-- a person's partition holds is left to it, also in part; so is everything where there is a default
-- partition. A table that was detached keeps its name, and the new partition gets another. A
-- detaching that was broken off is brought to its end first. More than a month's worth of days at
-- once are history, with few ticks a day: they get whole months, where the month has long ended.
-- Thousands of partitions would cost each other minutes.
-- Made apart and then attached: unlike `create table .. partition of`, that stops neither readers
-- nor writers of the other days.
create function make_realtime_days(days date[]) returns integer
    language plpgsql
    security definer
    -- Without it, a caller could put an object of their own in the place of a name below.
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
    set datestyle = 'ISO'
as
$$
declare
    missing record;
    wanted text;
    partition text;
    made integer := 0;
begin
    -- One maker at a time.
    perform from public.realtime_upkeep for update;
    for missing in
        select inhrelid::regclass as leaving
        from pg_inherits
        where inhparent = 'public.realtime_stock'::regclass and inhdetachpending
    loop
        execute format('alter table public.realtime_stock detach partition %s finalize', missing.leaving);
    end loop;
    for missing in
        with present as materialized (select * from public.realtime_partitions),
             held as (select range_agg(tstzrange(from_time, to_time)) as times from present where not is_default),
             spans as (select case
                                  when cardinality(days) > 31 and date_trunc('month', day) + interval '2 months' <= now()
                                      then 'month'
                                  else 'day' end as span,
                              day::timestamptz as day
                       from unnest(days) as day),
             wanted as (select distinct tstzrange(date_trunc(span, day), date_trunc(span, day) + ('1 ' || span)::interval) as times
                        from spans)
        select gap
        from wanted
                 cross join held
                 cross join lateral unnest(tstzmultirange(wanted.times) - coalesce(held.times, '{}')) as gap
        where not exists (select from present where is_default)
        order by gap
    loop
        wanted := 'realtime_stock_' || to_char(lower(missing.gap), 'YYYYMMDD');
        partition := wanted;
        for number in 2..1000
        loop
            exit when to_regclass(format('realtime_days.%I', partition)) is null;
            partition := wanted || '_' || number;
        end loop;
        execute format('create table realtime_days.%I (like public.realtime_stock including all)', partition);
        execute format('alter table public.realtime_stock attach partition realtime_days.%I for values from (%L) to (%L)',
                       partition, lower(missing.gap), upper(missing.gap));
        made := made + 1;
    end loop;
    return made;
end
$$;

-- Gives the partition of a finished day the index that would have slowed its writing; false where
-- it is gone or its day is not over. In one transaction: whatever ends it leaves no half of an
-- index. A late tick of this day waits, for which reason a writer that waits ends this
-- (store/attempt.rs).
create function seal_realtime_day(name text) returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
as
$$
begin
    perform from public.realtime_partitions p where p.name = seal_realtime_day.name and is_ours and to_time <= now();
    if not found then
        return false;
    end if;
    execute format('create index %I on realtime_days.%I (symbol, timestamp)', name || '_symbol_timestamp_idx', name);
    return true;
end
$$;

-- Up to when a day must have ended for its end to count: by the server's clock, and by the newest
-- ticks. A clock that jumps ahead makes no day older than it is beside the newest. Null where there
-- are no ticks.
create function realtime_horizon() returns timestamptz
    language sql
    stable
    set search_path = pg_catalog, pg_temp
as
$$
select least(now(), max(hour) + interval '1 hour')
from public.hour_bars
$$;

-- Drops the partition of a day that ended `keep` days before the horizon, and notes it with who
-- did. Where there is none, it is false for the upkeep, which may come late, and an error for a
-- person.
create function drop_realtime_day(name text, keep integer default 1, is_upkeep boolean default false) returns boolean
    language plpgsql
    security definer
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
as
$$
declare
    expired record;
begin
    if keep is null or keep < 1 then
        raise exception 'at least one day is kept' using errcode = 'invalid_parameter_value';
    end if;
    select date_trunc('day', p.from_time) as from_time, p.to_time
    into expired
    from public.realtime_partitions p
    where p.name = drop_realtime_day.name
      and is_ours
      and to_time + make_interval(days => keep) <= public.realtime_horizon();
    if not found and is_upkeep then
        return false;
    end if;
    if not found then
        raise exception 'no day partition "%" has ended % day(s) before the newest tick, and before now', name, keep
            using errcode = 'invalid_parameter_value',
                hint = 'realtime_partitions has the names, without their schema, and when each ends.';
    end if;
    execute format('drop table realtime_days.%I', name);
    insert into public.dropped_days (day, partition, reason)
    select day::date, name, case when is_upkeep then format('older than --retention-days %s', keep)
                                 else format('by hand, as %s', session_user) end
    from generate_series(expired.from_time, expired.to_time - interval '1 microsecond', '1 day') as day;
    return true;
end
$$;

-- Every function may be called by everybody unless this is said.
revoke execute on function make_realtime_days, seal_realtime_day, drop_realtime_day, realtime_horizon from public;
