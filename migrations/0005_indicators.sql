-- Technical indicators, computed by batch-layer from hourly_stock_summary (docs/indicators.md).

-- Floats, unlike everything else: indicators are estimates by definition, and TA-Lib computes in
-- floats. A value is null before the first bar for which it is defined.
create table technical_indicators
(
    symbol           text             not null collate "C",
    interval         text             not null,
    -- Of an hour, in UTC; of a day, midnight at the exchange.
    start            timestamptz      not null,
    close            double precision not null,
    -- Null where a tick of the bar has none.
    volume           double precision,
    sma_20           double precision,
    sma_50           double precision,
    ema_12           double precision,
    ema_26           double precision,
    rsi_14           double precision,
    macd             double precision,
    macd_signal      double precision,
    macd_histogram   double precision,
    bollinger_upper  double precision,
    bollinger_middle double precision,
    bollinger_lower  double precision,
    atr_14           double precision,
    obv              double precision,
    vwap             double precision,
    constraint technical_indicators_pkey primary key (symbol, interval, start),
    constraint technical_indicators_interval_check check (interval in ('hour', 'day'))
);

-- Symbols whose indicators lag behind their hours, each with the first hour that has changed.
-- Marked in the transaction that writes the hour, so that a killed run leaves nothing undone.
create table stale_indicators
(
    symbol text        not null collate "C",
    hour   timestamptz not null,
    constraint stale_indicators_pkey primary key (symbol)
);

insert into stale_indicators
select symbol, min(hour)
from hourly_stock_summary
group by symbol;

-- What a symbol's bars up to some time ago have come to, so that those behind it can be gone on
-- with. Once a bar in it has changed it is deleted, and all are taken in again. Whoever changes
-- hourly_stock_summary by hand deletes the symbol's, too.
create table indicator_states
(
    symbol   text        not null collate "C",
    interval text        not null,
    -- Start of the last bar in it.
    start    timestamptz not null,
    state    bytea       not null,
    constraint indicator_states_pkey primary key (symbol, interval),
    constraint indicator_states_interval_check check (interval in ('hour', 'day'))
);

-- Another time zone cuts other days.
create function mark_all_indicators_stale() returns trigger
    language plpgsql as
$$
begin
    delete from technical_indicators where interval = 'day';
    insert into stale_indicators
    select symbol, min(hour)
    from hourly_stock_summary
    group by symbol
    on conflict (symbol) do update set hour = excluded.hour;
    return null;
end
$$;

create trigger exchange_time_zone_changed
    after update of time_zone
    on exchange
    for each row
    when (old.time_zone is distinct from new.time_zone)
execute function mark_all_indicators_stale();
