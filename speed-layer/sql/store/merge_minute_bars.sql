-- Merges a batch's minute bars into those that are there; `common::Bar::merge` in SQL. An array for
-- each column, sorted by key: $1: symbols, $2: starts, $3 to $10: what the bars say, $11 to $14:
-- the ticks that gave the open, $15 to $18: those that gave the close.
insert into minute_bars as known
    (symbol, minute, open, high, low, close, volume, ticks, sum_close, notional,
     first_timestamp, first_partition, first_offset, first_index,
     last_timestamp, last_partition, last_offset, last_index)
select * from unnest($1::text[], $2::timestamptz[],
                     $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[],
                     $7::numeric[], $8::bigint[], $9::numeric[], $10::numeric[],
                     $11::timestamptz[], $12::integer[], $13::bigint[], $14::smallint[],
                     $15::timestamptz[], $16::integer[], $17::bigint[], $18::smallint[])
on conflict (symbol, minute) do update set
    -- Where the batch's first tick comes before the one that is known.
    open = case
               when (excluded.first_timestamp, excluded.first_partition,
                     excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition,
                       known.first_offset, known.first_index)
               then excluded.open else known.open
           end,
    first_timestamp = case
               when (excluded.first_timestamp, excluded.first_partition,
                     excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition,
                       known.first_offset, known.first_index)
               then excluded.first_timestamp else known.first_timestamp
           end,
    first_partition = case
               when (excluded.first_timestamp, excluded.first_partition,
                     excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition,
                       known.first_offset, known.first_index)
               then excluded.first_partition else known.first_partition
           end,
    first_offset = case
               when (excluded.first_timestamp, excluded.first_partition,
                     excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition,
                       known.first_offset, known.first_index)
               then excluded.first_offset else known.first_offset
           end,
    first_index = case
               when (excluded.first_timestamp, excluded.first_partition,
                     excluded.first_offset, excluded.first_index)
                    < (known.first_timestamp, known.first_partition,
                       known.first_offset, known.first_index)
               then excluded.first_index else known.first_index
           end,
    -- Where its last one comes behind it.
    close = case
               when (excluded.last_timestamp, excluded.last_partition,
                     excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition,
                       known.last_offset, known.last_index)
               then excluded.close else known.close
           end,
    last_timestamp = case
               when (excluded.last_timestamp, excluded.last_partition,
                     excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition,
                       known.last_offset, known.last_index)
               then excluded.last_timestamp else known.last_timestamp
           end,
    last_partition = case
               when (excluded.last_timestamp, excluded.last_partition,
                     excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition,
                       known.last_offset, known.last_index)
               then excluded.last_partition else known.last_partition
           end,
    last_offset = case
               when (excluded.last_timestamp, excluded.last_partition,
                     excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition,
                       known.last_offset, known.last_index)
               then excluded.last_offset else known.last_offset
           end,
    last_index = case
               when (excluded.last_timestamp, excluded.last_partition,
                     excluded.last_offset, excluded.last_index)
                    > (known.last_timestamp, known.last_partition,
                       known.last_offset, known.last_index)
               then excluded.last_index else known.last_index
           end,
    high = greatest(known.high, excluded.high),
    low = least(known.low, excluded.low),
    -- Null, once any tick has no volume; so is notional.
    volume = known.volume + excluded.volume,
    ticks = known.ticks + excluded.ticks,
    sum_close = known.sum_close + excluded.sum_close,
    notional = known.notional + excluded.notional
