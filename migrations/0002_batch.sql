-- The batch layer's tables.

-- One row for each symbol and hour that has ticks in the archive. Column names are public.
-- Averages and vwap are PostgreSQL's own numeric quotients of exact sums without zeros at their
-- ends, so both layers and any aggregate of the ticks agree to the last digit. vwap is null where
-- the hour's volume is zero. Where one of its ticks has no volume, volume, avg_volume and vwap are
-- null: a sum of the others would pass for one of all.
create table hourly_stock_summary
(
    symbol      text        not null collate "C",
    hour        timestamptz not null,
    avg_close   numeric     not null,
    avg_volume  numeric,
    open        numeric     not null,
    high        numeric     not null,
    low         numeric     not null,
    close       numeric     not null,
    volume      numeric,
    vwap        numeric,
    ticks       bigint      not null,
    computed_at timestamptz not null default now(),
    constraint hourly_stock_summary_pkey primary key (symbol, hour)
);

-- An hour is replaced as a whole, and dashboards ask for time ranges.
create index hourly_stock_summary_hour_idx on hourly_stock_summary (hour);

-- One row a run of batch-layer, for the one on call and for dashboards.
create table batch_runs
(
    run_id         bigint generated always as identity,
    started_at     timestamptz not null default now(),
    finished_at    timestamptz,
    -- One of running, ok, partial (some hours failed) and failed.
    status         text        not null default 'running',
    arguments      text        not null,
    -- What has summed up objects, and its version: local 0.1.0, spark 4.3.0.
    engine         text        not null default '',
    hours_computed integer     not null default 0,
    hours_failed   integer     not null default 0,
    objects_read   bigint      not null default 0,
    bytes_read     bigint      not null default 0,
    -- Computed hours that were read from the lake, and its objects that were read for them; the
    -- two above count raw ones.
    hours_from_lake   integer  not null default 0,
    lake_objects_read bigint   not null default 0,
    ticks          bigint      not null default 0,
    rejected_lines bigint      not null default 0,
    duplicates     bigint      not null default 0,
    -- Records of which several lines tell different things.
    conflicts      bigint      not null default 0,
    error          text,
    -- The window was that of --lookback, or one that holds it. Another run, as for a single hour,
    -- says nothing of how far the hours are.
    looks_back     boolean     not null default true,
    -- From which hour to before which one it was to look at every folder.
    first_hour     timestamptz,
    end_hour       timestamptz,
    -- What it has in batch_lock while it is running.
    token          uuid,
    constraint batch_runs_pkey primary key (run_id),
    constraint batch_runs_status_check check (status in ('running', 'ok', 'partial', 'failed'))
);

create index batch_runs_started_at_idx on batch_runs (started_at);

-- What the archive holds, as far as it has been read. An object's ticks may belong to other hours
-- than its folder's (late ticks, partitioning by record time), so the hours it touches are known
-- only from reading it.
create table archive_objects
(
    key            text        not null collate "C",
    -- The prefix of the listing that showed it.
    folder         text        not null collate "C",
    etag           text        not null,
    size           bigint      not null,
    last_modified  timestamptz not null,
    lines          bigint      not null,
    rejected_lines bigint      not null,
    indexed_at     timestamptz not null default now(),
    -- How it was read: the version of this program's sums, and the flags about messages; under
    -- others it is read again.
    decode_rules   text        not null default '',
    -- Some of its ticks carry no offset: if it comes twice, nothing else shows that they are the
    -- same.
    lacks_offsets  boolean     not null default false,
    -- No longer in the archive. A row is kept then of objects without offsets, and of those of
    -- which sums have an earlier version: should it come back, its ticks are not counted again.
    gone           boolean     not null default false,
    constraint archive_objects_pkey primary key (key)
);

create table archive_object_hours
(
    hour        timestamptz not null,
    key         text        not null collate "C",
    -- 0: it holds none any more, and the hour's sums have an earlier version.
    ticks       bigint      not null,
    -- How many of them carry no offset.
    without_offsets bigint  not null default 0,
    -- The times of the first and of the last of them.
    first_at    timestamptz not null,
    last_at     timestamptz not null,
    -- A hash of its bars and offsets: an object with the same hash changes no sums, whatever its
    -- etag, name or compression.
    content_hash bigint     not null,
    -- A hash of its offsets (with the elements) alone.
    offsets_hash bigint     not null,
    -- Its offsets, as long as no sums have it and they take few bytes: should it be deleted before,
    -- they are looked for in others.
    offsets     bytea,
    -- Both hashes of the version in the hour's sums; null: none is. By them an object is recognized
    -- that was replaced and put back, or that has only grown.
    summed_content_hash bigint,
    summed_offsets_hash bigint,
    -- How many ticks of the hour that version holds.
    summed_ticks bigint,
    -- How many of them carry no offset.
    summed_without_offsets bigint,
    -- This version of the object is in the hour's sums (hour_sums): so the hour need not be read
    -- again for its sake, and goes on without it once it has expired.
    merged      boolean     not null default false,
    constraint archive_object_hours_pkey primary key (hour, key),
    constraint archive_object_hours_key_fkey foreign key (key) references archive_objects
        on update cascade on delete cascade
);

create index archive_object_hours_key_idx on archive_object_hours (key);

-- Objects that cannot be read, with the reason. A row goes when the object is mended or deleted.
create table broken_objects
(
    key        text        not null collate "C",
    -- The prefix of the listing that showed it.
    folder     text        not null collate "C",
    etag       text        not null,
    size       bigint      not null,
    -- One of damaged, refused (to this user), unavailable (the store fails at it) and frozen (cold
    -- storage).
    kind       text        not null,
    detail     text        not null,
    since      timestamptz not null default now(),
    last_tried timestamptz not null default now(),
    constraint broken_objects_pkey primary key (key),
    constraint broken_objects_kind_check check (kind in ('damaged', 'refused', 'unavailable', 'frozen'))
);

-- Hours that such an object may touch. They are held back: never written from the other objects
-- alone.
create table blocked_hours
(
    hour timestamptz not null,
    key  text        not null collate "C",
    constraint blocked_hours_pkey primary key (hour, key),
    constraint blocked_hours_key_fkey foreign key (key) references broken_objects on delete cascade
);

create index blocked_hours_key_idx on blocked_hours (key);

-- Hours whose objects have changed since they were computed: what a run has to do, and what one
-- that was killed has left. A row is written in the transaction that changes the index, and deleted
-- in the one that writes the hour.
create table stale_hours
(
    hour     timestamptz not null,
    -- An object in a folder of the run's own window touches it. Where only a neighbouring folder,
    -- read because of --slack, does, a run computes it if it has been computed before; or else each
    -- run would drag in one more hour.
    wanted   boolean     not null,
    -- An object that is in its sums was replaced. They cannot be taken apart, so the hour is read
    -- again from all objects.
    replaced boolean     not null,
    -- An object that is in its sums was read again by other rules of messages: all of its objects
    -- are, too. Unlike a replaced object this explains no loss of records.
    reread   boolean     not null default false,
    constraint stale_hours_pkey primary key (hour)
);

-- Lines of the archive that are no valid tick. At most the first 1,000 of an object are kept, while
-- archive_objects.rejected_lines counts all.
create table rejected_lines
(
    key         text        not null collate "C",
    line        bigint      not null,
    -- Which of the line's ticks it would be; 0 where it is the line.
    element     smallint    not null default 0,
    reason      text        not null,
    detail      text        not null,
    value       bytea       not null,
    value_bytes bigint      not null,
    rejected_at timestamptz not null default now(),
    -- Where its message stood in the topic, if it tells that.
    kafka_partition integer,
    kafka_offset    bigint,
    constraint rejected_lines_pkey primary key (key, line, element),
    constraint rejected_lines_key_fkey foreign key (key) references archive_objects on update cascade on delete cascade
);

-- What is no tick is not missing.
create index rejected_lines_place_idx on rejected_lines (kafka_partition, kafka_offset) where kafka_offset is not null;

-- The state of each computed hour.
create table batch_hours
(
    hour        timestamptz not null,
    -- How its objects were read: the version of this program's sums, and the flags about messages.
    decode_rules text       not null,
    -- How many objects it was computed from.
    objects     integer     not null,
    ticks       bigint      not null,
    symbols     integer     not null,
    duplicates  bigint      not null,
    run_id      bigint      not null,
    computed_at timestamptz not null default now(),
    -- Earlier than computed_at where the hour was restated: computed again because its objects had
    -- changed.
    first_computed_at timestamptz not null default now(),
    -- The bucket in which its objects were found last.
    location    text        not null default '',
    -- Objects in its sums that are no longer in the archive.
    gone_objects integer    not null default 0,
    -- Records that it has lost because an object was replaced, or --allow-shrink said so, and that
    -- have not come again, less as many as have come since without offsets.
    withdrawn   bigint      not null default 0,
    -- Records of which several objects tell different things. The first object by key counts.
    conflicts   bigint      not null default 0,
    -- The run's, which may have left single objects to `local`.
    engine      text        not null default '',
    -- When its ticks near its begin, and near its end, were others last: the hours beside it are
    -- judged by those, too.
    start_changed_at timestamptz not null default now(),
    end_changed_at timestamptz not null default now(),
    constraint batch_hours_pkey primary key (hour),
    constraint batch_hours_run_id_fkey foreign key (run_id) references batch_runs
);

-- Objects that are gone though they were younger than a run looks back (--lookback): deleted, and
-- not expired. The hours keep their ticks, which the archive lacks. A row goes when its object is
-- back, or its hour was computed without it.
create table deleted_objects
(
    hour        timestamptz not null,
    key         text        not null collate "C",
    deleted_at  timestamptz not null default now(),
    -- Somebody has said that it is lost for good: the hour is not incomplete for it.
    is_accepted boolean     not null default false,
    constraint deleted_objects_pkey primary key (hour, key)
);

create index deleted_objects_key_idx on deleted_objects (key);

-- What a computed hour's numbers were summed up from, in a form that goes on being merged: a late
-- object costs what it holds, and one that has expired does not take its ticks along. batch-layer
-- alone reads it (src/state.rs).
create table hour_sums
(
    hour    timestamptz not null,
    -- By symbol: prices, sums, first and last tick.
    bars    bytea       not null,
    -- By topic and partition: which records are in the sums.
    offsets bytea       not null,
    -- Records that were in the sums and are no longer.
    withdrawn bytea     not null,
    constraint hour_sums_pkey primary key (hour),
    constraint hour_sums_hour_fkey foreign key (hour) references batch_hours on delete cascade
);

-- Compressed by batch-layer.
alter table hour_sums alter column bars set storage external, alter column offsets set storage external,
                      alter column withdrawn set storage external;

-- The hours whose ticks were judged with hindsight, after they were computed last.
create table judged_hours
(
    hour      timestamptz not null,
    -- By which detectors, and their versions.
    detectors text        not null,
    ticks     bigint      not null,
    judged_at timestamptz not null default now(),
    -- Symbols to which late objects have added ticks since; null: others may have changed, too.
    added_symbols text[] default '{}',
    constraint judged_hours_pkey primary key (hour),
    constraint judged_hours_hour_fkey foreign key (hour) references batch_hours on delete cascade
);

-- Symbols with hours that have changed since the bars' detector has looked at them, from the first
-- to the last of these. Marked in the transaction that writes the hour.
create table stale_bars
(
    symbol     text        not null collate "C",
    first_hour timestamptz not null,
    last_hour  timestamptz not null,
    -- Counted, so that one that comes while they are looked at is seen.
    changes    bigint      not null default 1,
    constraint stale_bars_pkey primary key (symbol)
);

-- Which detector that was. Another one looks at all.
create table bar_detector_version
(
    is_the_only_row boolean not null default true,
    detector        text    not null,
    constraint bar_detector_version_pkey primary key (is_the_only_row),
    constraint bar_detector_version_is_the_only_row_check check (is_the_only_row)
);

-- Bars that have confirmed bad prints, without those. The bars of `minute_bars` and
-- `hourly_stock_summary` keep them.
create table clean_minutes
(
    symbol    text        not null collate "C",
    minute    timestamptz not null,
    open      numeric,
    high      numeric,
    low       numeric,
    close     numeric,
    volume    numeric,
    -- 0: all of its ticks are bad, and nothing is known of its prices.
    ticks     bigint      not null,
    sum_close numeric,
    notional  numeric,
    of_hour   timestamptz not null,
    -- How many bad prints are left out.
    left_out  bigint      not null,
    constraint clean_minutes_pkey primary key (symbol, minute),
    constraint clean_minutes_of_hour_fkey foreign key (of_hour) references judged_hours on delete cascade
);

create index clean_minutes_of_hour_idx on clean_minutes (of_hour);

create table clean_hours
(
    symbol    text        not null collate "C",
    hour      timestamptz not null,
    open      numeric,
    high      numeric,
    low       numeric,
    close     numeric,
    volume    numeric,
    -- 0: all of its ticks are bad, and nothing is known of its prices.
    ticks     bigint      not null,
    sum_close numeric,
    notional  numeric,
    of_hour   timestamptz not null,
    -- How many bad prints are left out.
    left_out  bigint      not null,
    constraint clean_hours_pkey primary key (symbol, hour),
    constraint clean_hours_of_hour_fkey foreign key (of_hour) references judged_hours on delete cascade
);

create index clean_hours_of_hour_idx on clean_hours (of_hour);

-- Which offsets of each partition an hour's sums lie among: only hours whose spans touch can have
-- the same records.
create table hour_spans
(
    hour         timestamptz not null,
    topic        text        not null collate "C",
    partition    integer     not null,
    first_offset bigint      not null,
    last_offset  bigint      not null,
    -- Offsets of messages whose records are in the sums or were; batch-layer alone reads it
    -- (src/state.rs).
    offsets      bytea       not null,
    -- Whether a run has looked since which offsets are missing among them, and between them and
    -- their neighbours.
    gaps_checked  boolean     not null default false,
    constraint hour_spans_pkey primary key (hour, topic, partition),
    constraint hour_spans_hour_fkey foreign key (hour) references batch_hours on delete cascade
);

-- Compressed by batch-layer.
alter table hour_spans alter column offsets set storage external;

create index hour_spans_offsets_idx on hour_spans (topic, partition, last_offset);
create index hour_spans_first_idx on hour_spans (topic, partition, first_offset);
create index hour_spans_gaps_unchecked_idx on hour_spans (topic, partition, first_offset) where not gaps_checked;

-- Offsets between archived ones that the archive does not show, and of which nothing tells that
-- they were no ticks. A row may stand for several stretches that lie between the same hours.
create table missing_offsets
(
    topic        text        not null collate "C",
    partition    integer     not null,
    first_offset bigint      not null,
    last_offset  bigint      not null,
    -- How many of them are missing.
    offsets      bigint      not null,
    -- The archived ticks right before and after them.
    before_offset bigint      not null,
    before_hour   timestamptz not null,
    after_offset  bigint      not null,
    after_hour    timestamptz not null,
    -- From which to which hour's folder their objects would lie.
    first_folder timestamptz not null,
    last_folder  timestamptz not null,
    found_at     timestamptz not null default now(),
    -- A person says so: they were no ticks, or are lost for good. Then no hour is incomplete for
    -- them.
    is_accepted  boolean     not null default false,
    constraint missing_offsets_pkey primary key (topic, partition, first_offset)
);

-- Of which hours realtime_stock was compared with the sums by source and partition, offset by
-- offset, and as of when.
create table compared_hours
(
    hour        timestamptz not null,
    -- batch_hours.computed_at, and what hour_bars counted then.
    computed_at timestamptz not null,
    speed_ticks bigint      not null,
    -- How many of the speed layer's ticks are not in the sums, and where one of them is.
    missing     bigint      not null,
    example     text,
    constraint compared_hours_pkey primary key (hour),
    constraint compared_hours_hour_fkey foreign key (hour) references batch_hours on delete cascade
);

-- Records that the sums of two hours have, because objects tell different times of them: either
-- hour counts them. Of two hours there are two rows.
create table shared_records
(
    hour       timestamptz not null,
    other_hour timestamptz not null,
    records    bigint      not null,
    -- Where one of them is.
    topic      text        not null collate "C",
    partition  integer     not null,
    -- The offset, and above 48 bits which of its message's ticks it is.
    place      bigint      not null,
    constraint shared_records_pkey primary key (hour, other_hour),
    constraint shared_records_hour_fkey foreign key (hour) references batch_hours on delete cascade,
    constraint shared_records_other_hour_fkey foreign key (other_hour) references batch_hours on delete cascade
);

create index shared_records_other_hour_idx on shared_records (other_hour);

-- The run that is at work, or those that share a window. A row and not an advisory lock: it holds
-- through poolers, and a run whose host has died loses it as soon as its heartbeat is old.
create table batch_lock
(
    token        uuid        not null,
    holder       text        not null,
    -- What it shares with other runs: window and flags. Null: it is alone.
    shares       text,
    taken_at     timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    -- The advisory lock of the session in which its heart beats, while it shares: without that it
    -- is dead. Null: only its silence tells.
    session      integer,
    constraint batch_lock_pkey primary key (token)
);

-- Which of the runs that share a window is at work on which hours of it. The last row is the run
-- that closes: it looks at the whole window once more. Rows go with the last of the runs.
create table batch_stretches
(
    first_hour timestamptz not null,
    -- Token of the run that is or was at work on it; where batch_lock no longer has it, the hours
    -- are free unless done.
    token      uuid        not null,
    is_done    boolean     not null default false,
    constraint batch_stretches_pkey primary key (first_hour)
);

-- Whether the archive shows an hour completely, as far as the last run could tell. An hour of which
-- nobody has any tick has no row; nor has one that is not over.
create table archive_hours
(
    hour        timestamptz not null,
    status      text        not null,
    -- Why it is incomplete; of a complete one: why nobody can tell (the speed layer knows nothing
    -- of it).
    reason      text,
    -- When that was found; null: no such ticks.
    speed_ticks bigint,
    batch_ticks bigint,
    -- When its folders were listed last.
    listed_at   timestamptz not null default now(),
    -- When the status became what it is.
    since       timestamptz not null default now(),
    -- Incomplete for nothing but missing_offsets: whether those were ticks nobody knows.
    is_by_offsets boolean   not null default false,
    -- A tick of the speed layer that is not in the archive: topic, partition and offset.
    example     text,
    constraint archive_hours_pkey primary key (hour),
    constraint archive_hours_status_check check (status in ('complete', 'incomplete'))
);

create index archive_hours_incomplete_idx on archive_hours (hour) where status = 'incomplete';

-- How far the archive goes, by topic and partition, as far as any run has read it. Written with the
-- index.
create table archive_high_offsets
(
    -- Empty where the names of objects tell none.
    topic        text        not null collate "C",
    partition    integer     not null,
    -- The offset after the newest one; null where lines have none.
    next_offset  bigint,
    -- The newest tick that was not ahead of its time when its object was stored.
    tick         timestamptz not null,
    -- When the object with the newest offset was stored.
    stored_at    timestamptz not null,
    -- When a run found last that the archive had all that the speed layer had.
    caught_up_at timestamptz,
    constraint archive_high_offsets_pkey primary key (topic, partition)
);

-- The last run that has looked how far the archive goes.
create table archive_lag_check
(
    is_the_only_row boolean          not null default true,
    -- Its --archive-delay.
    allowed_seconds double precision not null,
    checked_at      timestamptz      not null default now(),
    constraint archive_lag_check_pkey primary key (is_the_only_row),
    constraint archive_lag_check_is_the_only_row_check check (is_the_only_row)
);

-- The archive's hours as Parquet (batch-layer compact): which object holds which ticks.
create table lake_objects
(
    key         text        not null collate "C",
    -- The topic.
    source      text        not null collate "C",
    hour        timestamptz not null,
    -- batch_hours.computed_at of the hour as it was written: an hour is computed again whenever its
    -- objects have changed.
    computed_at timestamptz not null,
    -- Null until it is verified.
    etag        text,
    size        bigint      not null,
    rows        bigint      not null,
    -- Checksum of all its ticks with their places, as batch-layer verify has them.
    checksum    bigint      not null,
    -- Digest of its bytes, as they were compared.
    digest      bigint      not null,
    -- One of written (about to be shown to readers), verified (read back, compared and shown) and
    -- superseded (about to be deleted).
    state       text        not null,
    run_id      bigint      not null,
    written_at  timestamptz not null default now(),
    verified_at timestamptz,
    constraint lake_objects_pkey primary key (key),
    constraint lake_objects_state_check check (state in ('written', 'verified', 'superseded')),
    constraint lake_objects_run_id_fkey foreign key (run_id) references batch_runs
);

create index lake_objects_hour_idx on lake_objects (hour);

-- Which raw objects the lake has an hour's ticks of, as they were when it was written: while they
-- are the same, the hour may be read from the lake in their place.
create table lake_sources
(
    hour   timestamptz not null,
    -- What the lake's keys begin with.
    prefix text        not null collate "C",
    key    text        not null collate "C",
    etag   text        not null,
    -- As in archive_objects.
    decode_rules text  not null,
    constraint lake_sources_pkey primary key (hour, prefix, key)
);

-- Raw objects that batch-layer compact --delete-covered has deleted, because the lake has each of
-- their ticks. A row goes when its object is there again and was read, or others have all of its
-- ticks.
create table covered_objects
(
    key        text          not null collate "C",
    etag       text          not null,
    size       bigint        not null,
    ticks      bigint        not null,
    -- The hours of which it had ticks.
    hours      timestamptz[] not null,
    -- The objects of the lake that were read back and compared with it just before.
    lake_keys  text[]        not null,
    run_id     bigint        not null,
    noted_at   timestamptz   not null default now(),
    -- Null: it is about to be deleted; the next run looks what became of that.
    deleted_at timestamptz,
    constraint covered_objects_pkey primary key (key),
    constraint covered_objects_run_id_fkey foreign key (run_id) references batch_runs
);

create index covered_objects_hours_idx on covered_objects using gin (hours);
