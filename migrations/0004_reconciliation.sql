-- What `batch-layer verify` has found: whether Kafka, realtime_stock and the archive agree. An
-- hour's rows are replaced whenever it is looked at again. Where nothing holds a tick of an hour,
-- it has no row.

-- Statuses, from good to bad; an hour has the worst of its own and its partitions':
--   ok        both sides hold the same ticks
--   purged    retention has dropped the day from realtime_stock; what is left agrees
--   open      nothing differs so far, but something could not be compared yet: detail says what
--   mismatch  something differs: detail says what and where
create table reconciled_hours
(
    hour             timestamptz not null,
    status           text        not null,
    -- Null where retention has dropped them.
    realtime_ticks   bigint,
    minute_bar_ticks bigint      not null,
    -- Each record once, however often it was archived.
    archive_ticks    bigint      not null,
    -- Null where batch-layer has not computed the hour.
    summary_ticks    bigint,
    -- Of the hour as a whole; reconciliations has that of its partitions.
    detail           text        not null,
    reconciled_at    timestamptz not null default now(),
    constraint reconciled_hours_pkey primary key (hour),
    constraint reconciled_hours_status_check check (status in ('ok', 'purged', 'open', 'mismatch'))
);

create table reconciliations
(
    hour                timestamptz not null,
    topic               text        not null,
    partition           integer     not null,
    status              text        not null,
    -- Kafka's offsets whose record time is in the hour: [kafka_from, kafka_to). A tick's own time
    -- may differ from that a little, so the number of ticks need not be theirs. Null where Kafka
    -- was not asked.
    kafka_from          bigint,
    kafka_to            bigint,
    realtime_ticks      bigint,
    archive_ticks       bigint      not null,
    realtime_duplicates bigint      not null,
    archive_duplicates  bigint      not null,
    -- Messages of those offsets that are no tick.
    rejected            bigint      not null,
    -- Ticks of the archive that kafka_gaps excuses.
    skipped             bigint      not null,
    missing_in_realtime bigint      not null,
    missing_in_archive  bigint      not null,
    missing_everywhere  bigint      not null,
    -- Blocks of 1,024 offsets with the same ticks by number and not by value.
    differing_blocks    bigint      not null,
    -- Sums of hashes, so that order does not matter. Prices count as 64-bit floats, because Connect
    -- makes such of them.
    realtime_checksum   text,
    archive_checksum    text        not null,
    detail              text        not null,
    constraint reconciliations_pkey primary key (hour, topic, partition),
    constraint reconciliations_hour_fkey foreign key (hour) references reconciled_hours on delete cascade,
    constraint reconciliations_status_check check (status in ('ok', 'purged', 'open', 'mismatch'))
);

-- Every computed hour with what is known of it, for an alert: where `needs_look` is true, verify
-- has found something, has not looked yet, or looked before the hour was computed last.
create view hour_reconciliation as
select hour,
       coalesce(r.status, 'never') as status,
       b.computed_at,
       r.reconciled_at,
       concat_ws('; ', nullif(r.detail, ''),
                 (select string_agg(concat(topic, ' ', partition, ': ', p.detail), '; '
                                    order by topic collate "C", partition)
                  from reconciliations p
                  where p.hour = r.hour and p.status in ('open', 'mismatch') and p.detail <> '')) as detail,
       r.hour is null or r.status not in ('ok', 'purged') or coalesce(r.reconciled_at < b.computed_at, false) as needs_look
from batch_hours b
         full join reconciled_hours r using (hour);
