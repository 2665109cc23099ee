-- The speed layer's tables. It fills all of them in one transaction a batch, which is what makes
-- each tick count exactly once.

-- Every tick as it came. Column names are public: dashboards and reports of users rely on them.
-- Prices are numeric: exact, and short (a price of two decimals takes 8 bytes).
-- source, kafka_partition, kafka_offset and kafka_index are a tick's identity. There is no unique
-- constraint on them: it would halve the write rate, and `kafka_offsets` already lets no offset be
-- written twice.
-- high, low and volume are null where the producer gave none.
-- volume is numeric as well: coins and fractional shares have up to nine decimals. A scaled bigint
-- would be no wider, but every reader would have to divide, and could not tell it from whole
-- shares. A whole volume of up to eight digits takes five to seven bytes, where a bigint took
-- eight, aligned.
-- bid, ask, conditions and sequence are null in nearly all feeds. Nulls at the end cost a row
-- nothing where it has another null, as a trade has in high and low. They are what the detectors
-- are told beside price and volume, and no more: no sum is made of them.
create table realtime_stock
(
    symbol          text        not null collate "C",
    timestamp       timestamptz not null,
    open            numeric     not null,
    high            numeric,
    low             numeric,
    close           numeric     not null,
    volume          numeric,
    kafka_partition integer     not null,
    -- These two stand where alignment would leave four bytes unused.
    source          smallint    not null,
    -- Which of its message's ticks it is: a message may hold several.
    kafka_index     smallint    not null default 0,
    kafka_offset    bigint      not null,
    -- The best ones at the time of the tick.
    bid             numeric,
    ask             numeric,
    -- The feed's own number of the message.
    sequence        bigint,
    -- Of the sale, as the feed writes them: letters, numbers or words.
    conditions      text[]
)
    -- One partition a UTC day, made by speed-layer when the first tick of that day arrives.
    -- Retention drops whole days, which costs nothing and leaves no dead rows.
    partition by range (timestamp);

comment on table realtime_stock is 'One row a tick, written by speed-layer exactly once; partitioned by UTC day of timestamp.';

-- BRIN is the only index that does not slow COPY to a third while a day is being written. It serves
-- the time ranges of dashboards, because ticks arrive nearly in time order.
create index realtime_stock_timestamp_brin on realtime_stock using brin (timestamp);

-- One row for each symbol and minute that has ticks, merged batch by batch. first_* and last_* hold
-- the order key (timestamp, partition, offset, index) of the ticks that gave open and close, so
-- that a late tick merges rightly. volume and the sums are numeric because bigint could overflow,
-- and a producer must not be able to stop the pipeline. volume and notional are null where one of
-- the ticks has no volume: a sum of the others would pass for one of all.
create table minute_bars
(
    symbol          text        not null collate "C",
    minute          timestamptz not null,
    open            numeric     not null,
    high            numeric     not null,
    low             numeric     not null,
    close           numeric     not null,
    volume          numeric,
    ticks           bigint      not null,
    sum_close       numeric     not null,
    notional        numeric,
    first_timestamp timestamptz not null,
    first_partition integer     not null,
    first_offset    bigint      not null,
    last_timestamp  timestamptz not null,
    last_partition  integer     not null,
    last_offset     bigint      not null,
    first_index     smallint    not null default 0,
    last_index      smallint    not null default 0,
    constraint minute_bars_pkey primary key (symbol, minute)
)
    -- A minute's row is updated by many batches. Half-empty pages keep those updates on their page
    -- (HOT).
    with (fillfactor = 50);

-- The same for each hour: minute_bars rolled up as they are written, because a view that did so
-- when it is read would take seconds for a month of 500 symbols. A batch touches far fewer hours
-- than minutes.
create table hour_bars
(
    symbol          text        not null collate "C",
    hour            timestamptz not null,
    open            numeric     not null,
    high            numeric     not null,
    low             numeric     not null,
    close           numeric     not null,
    volume          numeric,
    ticks           bigint      not null,
    sum_close       numeric     not null,
    notional        numeric,
    first_timestamp timestamptz not null,
    first_partition integer     not null,
    first_offset    bigint      not null,
    last_timestamp  timestamptz not null,
    last_partition  integer     not null,
    last_offset     bigint      not null,
    first_index     smallint    not null default 0,
    last_index      smallint    not null default 0,
    constraint hour_bars_pkey primary key (symbol, hour)
)
    -- An hour's row is updated by every batch of that hour.
    with (fillfactor = 50);

-- "All symbols since yesterday" is what a dashboard asks; rows come in order of hour, so a BRIN
-- would do too, but this table is small and its keys never change.
create index hour_bars_hour_idx on hour_bars (hour);

-- Minutes come nearly in order, so the smallest index finds the newest ones of all symbols.
create index minute_bars_minute_brin on minute_bars using brin (minute) with (pages_per_range = 32);

comment on column minute_bars.notional is 'sum(close * volume): vwap is notional / volume.';
comment on column minute_bars.sum_close is 'sum(close) over the ticks: avg_close is sum_close / ticks.';

-- What was read: a topic of a cluster. A topic that was deleted and created again has another
-- topic_id, so it is another source, and none of its offsets is taken for one of the old topic's.
-- cluster_id and topic_id are empty where the brokers do not tell them.
create table kafka_sources
(
    source        smallint generated always as identity,
    -- The consumer group that writes it: a second one would write every tick a second time.
    group_id      text        not null,
    cluster_id    text        not null,
    topic         text        not null collate "C",
    topic_id      text        not null,
    -- How many partitions it had when it was first seen. --start latest counts for these alone:
    -- whatever was sent to one that was added later came after the start.
    partitions    integer     not null,
    first_seen_at timestamptz not null default now(),
    constraint kafka_sources_pkey primary key (source),
    constraint kafka_sources_identity_key unique (topic, cluster_id, topic_id)
);

-- The next offset to write of each partition. Moved by compare-and-set in the batch's own
-- transaction, so a consumer that lost its partition can write nothing.
create table kafka_offsets
(
    source      smallint    not null,
    partition   integer     not null,
    next_offset bigint      not null,
    updated_at  timestamptz not null default now(),
    -- Where Kafka's log was seen to end before next_offset: what it has from there on is other
    -- messages, however far it grows. Until that is recorded as a gap.
    log_end     bigint,
    -- How often a gap has moved next_offset back: whoever knows another number read the log as it
    -- was before, also where next_offset has come to the same again.
    rewinds     integer     not null default 0,
    constraint kafka_offsets_pkey primary key (source, partition),
    constraint kafka_offsets_source_fkey foreign key (source) references kafka_sources,
    constraint kafka_offsets_next_offset_check check (next_offset >= 0),
    constraint kafka_offsets_log_end_check check (log_end >= 0)
)
    with (fillfactor = 50);

-- The partitions that have had a row in kafka_offsets. One whose row is gone must not be read from
-- its beginning again.
create table started_partitions
(
    source    smallint not null,
    partition integer  not null,
    constraint started_partitions_pkey primary key (source, partition),
    constraint started_partitions_source_fkey foreign key (source) references kafka_sources
);

-- The instances that write into this database, by their names in Kafka. Each renews its mark every
-- ten seconds: a member of their group that does not writes somewhere else, say into a copy of this
-- server.
create table speed_instances
(
    client_id text        not null,
    seen_at   timestamptz not null default clock_timestamp(),
    constraint speed_instances_pkey primary key (client_id)
);

-- Messages, and elements of messages, that are no valid tick, kept aside with the reason. `value`
-- holds at most the first 16 KiB; value_bytes is the length of the whole (null for a tombstone),
-- value_sha256 its hash where it was cut.
create table rejected_ticks
(
    kafka_partition integer     not null,
    source          smallint    not null,
    -- Which of the message's ticks it would be; 0 where it is the message.
    kafka_index     smallint    not null default 0,
    kafka_offset    bigint      not null,
    reason          text        not null,
    detail          text        not null,
    value           bytea,
    value_bytes     bigint,
    value_sha256    bytea,
    kafka_timestamp timestamptz,
    rejected_at     timestamptz not null default now(),
    constraint rejected_ticks_pkey primary key (source, kafka_partition, kafka_offset, kafka_index)
);

-- Rows come in the order of rejected_at, so the smallest index serves.
create index rejected_ticks_rejected_at_idx on rejected_ticks using brin (rejected_at);

-- What the detectors found (docs/anomalies.md). As ticks come it is written in the transaction of
-- the batch that shows it: a tick that waits for the next ones is found with those. batch-layer
-- judges it when the hour is over, and adds what it sees itself. Its source is 0 where the speed
-- layer has never read the topic. An odd bar has source 0, partition -1, and as its offset the
-- hours since 1970, so that a symbol and a time tell which it is.
create table anomalies
(
    source          smallint         not null,
    -- A kind says more of what its detector found. Its version changes with what it finds.
    version         integer          not null,
    kafka_partition integer          not null,
    kafka_offset    bigint           not null,
    kafka_index     smallint         not null,
    detector        text             not null,
    kind            text             not null,
    symbol          text             not null collate "C",
    -- Of the tick; of a bar its start.
    time            timestamptz      not null,
    -- How far beyond the limit: 1 at it, 2 twice as far.
    score           double precision not null,
    -- What was seen: a price, seconds, a number of the feed's; of a burst a volume, or a range as a
    -- share of the price.
    observed        double precision not null,
    -- In the same unit. Of a burst its limit.
    expected        double precision not null,
    -- Provisional as ticks come; confirmed or withdrawn by batch-layer.
    verdict         text             not null default 'provisional',
    -- What that rests on; null: it is provisional.
    reason          text,
    found_at        timestamptz      not null default now(),
    -- When the verdict became what it is.
    judged_at       timestamptz,
    constraint anomalies_pkey primary key (source, kafka_partition, kafka_offset, kafka_index, kind, detector, version, symbol)
);

-- Rows come nearly in the order of both times.
create index anomalies_time_brin on anomalies using brin (time, found_at) with (pages_per_range = 16);

-- What nobody has judged yet, of whatever time it is.
create index anomalies_provisional_idx on anomalies (time) where verdict = 'provisional';

-- What the detectors know of each symbol, appended to in each batch's transaction: whoever has a
-- partition next goes on from there. An entry has the symbols of its batch; a whole one has all,
-- and those before it are deleted.
create table detector_log
(
    source    smallint not null,
    is_whole  boolean  not null,
    partition integer  not null,
    -- Entries of a partition are written one after the other, so their numbers are in order.
    number    bigint generated always as identity,
    states    bytea    not null,
    constraint detector_log_pkey primary key (source, partition, number)
)
    -- Rows live for seconds. To give back empty pages would take a lock that writers wait for.
    with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = false,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000,
        toast.vacuum_truncate = false);

-- To compress them would cost more than to write them.
alter table detector_log
    alter column states set storage external;

-- Offsets that were not read because Kafka no longer had them, or had them damaged (speed-layer
-- --on-gap skip): never silence.
create table kafka_gaps
(
    source      smallint    not null,
    partition   integer     not null,
    -- The offsets [from_offset, to_offset) were not read. Where the topic was created again, or
    -- truncated, nobody knows what followed from_offset, and to_offset is not above it.
    from_offset bigint      not null,
    to_offset   bigint      not null,
    detail      text        not null,
    recorded_at timestamptz not null default now(),
    constraint kafka_gaps_pkey primary key (source, partition, from_offset, recorded_at),
    constraint kafka_gaps_source_fkey foreign key (source) references kafka_sources
);
