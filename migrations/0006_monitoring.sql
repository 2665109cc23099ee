-- The pipeline's own state for dashboards and SQL alerts, and who may read it.

create view ingest_positions as
select group_id, topic, source, partition, next_offset, updated_at
from kafka_offsets
         join kafka_sources using (source);

create view ingest_gaps as
select group_id, topic, source, partition, from_offset, to_offset, detail, recorded_at
from kafka_gaps
         join kafka_sources using (source);

-- The first 200 bytes of a message as text, bytes that are none as \ooo.
create view rejected_messages as
select topic,
       source,
       kafka_partition,
       kafka_offset,
       kafka_index,
       reason,
       detail,
       encode(substring(value from 1 for 200), 'escape') as message,
       rejected_at
from rejected_ticks
         join kafka_sources using (source);

-- All of a message that is kept (the speed layer keeps the beginning of very long ones: value_bytes
-- is its whole length).
create view whole_rejected_messages as
select topic,
       source,
       kafka_partition,
       kafka_offset,
       kafka_index,
       reason,
       detail,
       encode(value, 'escape') as message,
       coalesce(value_bytes, octet_length(value)) as value_bytes,
       kafka_timestamp,
       rejected_at
from rejected_ticks
         join kafka_sources using (source);

create view found_anomalies as
select topic,
       source,
       kafka_partition,
       kafka_offset,
       kafka_index,
       symbol,
       time,
       kind,
       detector,
       version,
       score,
       observed,
       expected,
       verdict,
       reason,
       found_at,
       judged_at
from anomalies
         left join kafka_sources using (source);

-- The hours that batch-layer has judged with hindsight.
create view judged_hour_history as
select hour, detectors, ticks, judged_at
from judged_hours;

create view rejected_archive_lines as
select key, line, element, reason, detail, encode(substring(value from 1 for 200), 'escape') as message, rejected_at,
       kafka_partition, kafka_offset
from rejected_lines;

-- Offsets between archived ones that the archive does not show.
create view missing_archive_offsets as
select topic, partition, first_offset, last_offset, offsets, first_folder, last_folder, found_at, is_accepted
from missing_offsets;

-- Objects of the archive that cannot be read, and how many hours they hold back.
create view broken_archive_objects as
select key, kind, detail, since, last_tried, (select count(*) from blocked_hours h where h.key = b.key) as hours_blocked
from broken_objects b;

-- What the archive has of an hour, object by object. state: summed (its ticks are in the hour's
-- sums), waits (for the next run), gone (from the archive), deleted (before its time), or what is
-- wrong with one that holds the hour back.
create view archive_hour_objects as
select h.hour,
       key,
       case when o.gone then 'gone' when h.merged then 'summed' else 'waits' end as state,
       h.ticks,
       h.first_at as first_tick,
       h.last_at as last_tick,
       o.lines,
       o.rejected_lines,
       o.size,
       o.last_modified,
       null::text as detail
from archive_object_hours h
         join archive_objects o using (key)
union all
select h.hour, key, b.kind, null, null, null, null, null, b.size, null, b.detail
from blocked_hours h
         join broken_objects b using (key)
union all
select hour, key, 'deleted', null, null, null, null, null, null, null, 'deleted, seen at ' || deleted_at
from deleted_objects;

-- For how long the speed layer has had ticks of a partition behind the newest offset that a run has
-- read of it in the archive: the age of the first of those that are newer in time, too, since the
-- archive was last seen to have all. Zero where it keeps up, or where nothing comes. Bars tell of a
-- tick only the offset; that it is of this topic tells its range, which ends where the speed layer
-- is. One that is ahead of its time counts on neither side.
create view archive_lag as
select s.topic,
       o.partition,
       coalesce(n.next_offset, 0) as archive_next_offset,
       o.next_offset              as speed_next_offset,
       n.tick                     as newest_tick,
       waiting_since,
       coalesce(greatest(extract(epoch from now() - waiting_since), 0), 0) as waiting_seconds,
       allowed_seconds,
       checked_at
from archive_lag_check
         cross join kafka_offsets o
         join kafka_sources s using (source)
         -- When it was seen as created again: nobody waits for older history since before that.
         left join lateral (select s.first_seen_at as seen_at
                            where exists (select from kafka_sources e
                                          where e.topic = s.topic and e.first_seen_at < s.first_seen_at)) as anew
                   on true
         left join archive_high_offsets n
                   on n.topic in (s.topic, '') and n.partition = o.partition
                       -- Of a topic that was created again, what was stored before is the old
                       -- one's.
                       and (anew.seen_at is null or n.stored_at >= anew.seen_at)
         cross join lateral (select case when min(minute) is not null
                                             then greatest(min(minute), n.caught_up_at, anew.seen_at) end as waiting_since
                             from minute_bars
                             where o.next_offset > coalesce(n.next_offset, 0)
                               and minute > coalesce(n.tick, now() - interval '7 days')
                               and minute <= now()
                               and (last_partition = o.partition and last_offset >= coalesce(n.next_offset, 0)
                                        and last_offset < o.next_offset
                                    or first_partition = o.partition and first_offset >= coalesce(n.next_offset, 0)
                                        and first_offset < o.next_offset)) as waiting
where not exists (select from kafka_sources later
                  where later.topic = s.topic and later.first_seen_at > s.first_seen_at)
  -- A topic that is not archived at all beside others is not meant to be.
  and (exists (select from archive_high_offsets a where a.topic in (s.topic, ''))
       or not exists (select from archive_high_offsets));

create view batch_run_history as
select run_id,
       started_at,
       finished_at,
       extract(epoch from finished_at - started_at) as seconds,
       status,
       arguments,
       engine,
       hours_computed,
       hours_failed,
       objects_read,
       bytes_read,
       ticks,
       rejected_lines,
       duplicates,
       error,
       looks_back,
       conflicts
from batch_runs;

-- restated: the hour was computed again because its objects had changed.
create view batch_hour_history as
select hour,
       objects,
       ticks,
       symbols,
       duplicates,
       run_id,
       engine,
       first_computed_at,
       computed_at,
       computed_at > first_computed_at as restated,
       gone_objects,
       withdrawn,
       conflicts
from batch_hours;

create index batch_hours_computed_at_idx on batch_hours (computed_at);

-- Hours whose objects have changed since they were computed. wanted is false where only a wider
-- window would compute it.
create view stale_archive_hours as
select s.hour, s.wanted or b.hour is not null as wanted, b.computed_at
from stale_hours s
         left join batch_hours b using (hour);

-- Each table with its partitions added up; rows are the planner's estimate.
create view table_sizes as
select coalesce(parent.relname, child.relname)          as table_name,
       sum(pg_total_relation_size(child.oid))::bigint   as bytes,
       sum(greatest(child.reltuples, 0))::bigint        as estimated_rows,
       count(parent.oid)                                as partitions,
       min(child.relname) filter (where parent.oid is not null) as oldest_partition
from pg_class child
         left join pg_inherits i on i.inhrelid = child.oid
         left join pg_class parent on parent.oid = i.inhparent
where child.relkind = 'r'
  -- Days of realtime_stock lie in a schema of their own.
  and child.relnamespace in (current_schema()::regnamespace, to_regnamespace('realtime_days'))
group by 1;
