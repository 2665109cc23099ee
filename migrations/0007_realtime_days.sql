-- The day partitions of realtime_stock, in a schema of their own: whoever writes ticks must be able to make, index and
-- drop days, and must not be able to change anything else.

create schema realtime_days;

comment on schema realtime_days is 'The partitions of realtime_stock, one a UTC day, each owned by the user that writes its ticks.';

-- Makes the partition of a UTC day; false where it is there. Attaching needs the right of realtime_stock's owner, so this
-- runs with it. The new partition is given to the caller, who later indexes it (concurrently, which no function can) and
-- drops it.
-- Made apart and then attached: unlike `create table .. partition of`, that stops neither readers nor writers of the
-- other days.
create function make_realtime_day(day date) returns boolean
    language plpgsql
    security definer
    -- Without it, a caller could put an object of their own in the place of a name below.
    set search_path = pg_catalog, pg_temp
    set timezone = 'UTC'
as
$$
declare
    partition constant text := 'realtime_stock_' || to_char(day, 'YYYYMMDD');
begin
    -- One maker at a time; the number stands for nothing.
    perform pg_advisory_xact_lock(hashtext('stocks.realtime_stock.partitions'));
    if exists (select
               from pg_inherits i
                        join pg_class c on c.oid = i.inhrelid
               where i.inhparent = 'public.realtime_stock'::regclass
                 and c.relname = partition) then
        return false;
    end if;
    execute format('create table realtime_days.%I (like public.realtime_stock including all)', partition);
    execute format('alter table public.realtime_stock attach partition realtime_days.%I for values from (%L) to (%L)',
                   partition, day::timestamptz, (day + 1)::timestamptz);
    execute format('alter table realtime_days.%I owner to %I', partition, session_user);
    return true;
end
$$;

-- Every function may be called by everybody unless this is said.
revoke execute on function make_realtime_day from public;
