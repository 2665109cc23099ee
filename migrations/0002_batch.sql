-- The batch layer's tables.

-- One row for each symbol and hour that has ticks in the archive. Column names are public.
-- Averages and vwap are PostgreSQL's own numeric quotients of exact sums, so they equal avg() over the ticks to
-- the last digit. vwap is null where the hour's volume is zero.
create table hourly_stock_summary
(
    symbol      text        not null collate "C",
    hour        timestamptz not null,
    avg_close   numeric     not null,
    avg_volume  numeric     not null,
    open        numeric     not null,
    high        numeric     not null,
    low         numeric     not null,
    close       numeric     not null,
    volume      numeric     not null,
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
    -- running, ok, partial (some hours failed), failed
    status         text        not null default 'running',
    arguments      text        not null,
    hours_computed integer     not null default 0,
    hours_failed   integer     not null default 0,
    objects_read   bigint      not null default 0,
    bytes_read     bigint      not null default 0,
    ticks          bigint      not null default 0,
    rejected_lines bigint      not null default 0,
    duplicates     bigint      not null default 0,
    error          text,
    constraint batch_runs_pkey primary key (run_id),
    constraint batch_runs_status_check check (status in ('running', 'ok', 'partial', 'failed'))
);

create index batch_runs_started_at_idx on batch_runs (started_at);

-- What the archive holds, as far as it has been read. An object's ticks may belong to other hours than its folder's
-- (late ticks, partitioning by record time), so the hours it touches are known only from reading it.
create table archive_objects
(
    key            text        not null collate "C",
    -- the prefix of the listing that showed it
    folder         text        not null collate "C",
    etag           text        not null,
    size           bigint      not null,
    last_modified  timestamptz not null,
    lines          bigint      not null,
    rejected_lines bigint      not null,
    indexed_at     timestamptz not null default now(),
    constraint archive_objects_pkey primary key (key)
);

create index archive_objects_folder_idx on archive_objects (folder);

create table archive_object_hours
(
    hour  timestamptz not null,
    key   text        not null collate "C",
    ticks bigint      not null,
    constraint archive_object_hours_pkey primary key (hour, key),
    constraint archive_object_hours_key_fkey foreign key (key) references archive_objects on delete cascade
);

create index archive_object_hours_key_idx on archive_object_hours (key);

-- Hours whose objects have changed since they were computed: what a run has to do, and what one that was killed has left.
-- A row is written in the transaction that changes the index, and deleted in the one that writes the hour.
create table stale_hours
(
    hour      timestamptz not null,
    -- An object in a folder of the run's own window touches it. Where only a neighbouring folder, read because of
    -- --slack, does, a run computes it if it has been computed before; or else each run would drag in one more hour.
    wanted    boolean     not null,
    -- An object that touched it was replaced. Where none is left, its ticks were withdrawn; otherwise they expired.
    withdrawn boolean     not null,
    constraint stale_hours_pkey primary key (hour)
);

-- Lines of the archive that are no valid tick. At most the first 1,000 of an object are kept;
-- archive_objects.rejected_lines counts all.
create table rejected_lines
(
    key         text        not null collate "C",
    line        bigint      not null,
    reason      text        not null,
    detail      text        not null,
    value       bytea       not null,
    value_bytes bigint      not null,
    rejected_at timestamptz not null default now(),
    constraint rejected_lines_pkey primary key (key, line),
    constraint rejected_lines_key_fkey foreign key (key) references archive_objects on delete cascade
);

-- The state of each computed hour. fingerprint is a hash of (key, etag, size) of every object that holds ticks of
-- the hour: where the archive's present fingerprint differs, the hour is computed again.
create table batch_hours
(
    hour        timestamptz not null,
    fingerprint bytea       not null,
    objects     integer     not null,
    ticks       bigint      not null,
    symbols     integer     not null,
    duplicates  bigint      not null,
    run_id      bigint      not null,
    computed_at timestamptz not null default now(),
    -- Earlier than computed_at where the hour was restated: computed again because its objects had changed.
    first_computed_at timestamptz not null default now(),
    constraint batch_hours_pkey primary key (hour),
    constraint batch_hours_run_id_fkey foreign key (run_id) references batch_runs
);
