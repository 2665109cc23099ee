-- Writes the rows that are new or others than they were. $1: interval, $2 to $19: the columns of
-- the rows.
with new as
    (select *
     from unnest($2::text[], $3::timestamptz[], $4::float8[], $5::float8[], $6::float8[],
                 $7::float8[], $8::float8[], $9::float8[], $10::float8[], $11::float8[],
                 $12::float8[], $13::float8[], $14::float8[], $15::float8[], $16::float8[],
                 $17::float8[], $18::float8[], $19::float8[])
              as rows (symbol, start, close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd,
                       macd_signal, macd_histogram, bollinger_upper, bollinger_middle,
                       bollinger_lower, atr_14, obv, vwap)),
    written as
    (insert into technical_indicators
         (interval, symbol, start, close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd,
          macd_signal, macd_histogram, bollinger_upper, bollinger_middle, bollinger_lower, atr_14,
          obv, vwap)
     select $1, new.* from new
     where not exists (select from technical_indicators t
                       where t.symbol = new.symbol and t.interval = $1 and t.start = new.start))
update technical_indicators t
set (close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd, macd_signal, macd_histogram,
     bollinger_upper, bollinger_middle, bollinger_lower, atr_14, obv, vwap)
    = (new.close, new.volume, new.sma_20, new.sma_50, new.ema_12, new.ema_26, new.rsi_14, new.macd,
       new.macd_signal, new.macd_histogram, new.bollinger_upper, new.bollinger_middle,
       new.bollinger_lower, new.atr_14, new.obv, new.vwap)
from new
where t.symbol = new.symbol and t.interval = $1 and t.start = new.start
  and (t.close, t.volume, t.sma_20, t.sma_50, t.ema_12, t.ema_26, t.rsi_14, t.macd, t.macd_signal,
       t.macd_histogram, t.bollinger_upper, t.bollinger_middle, t.bollinger_lower, t.atr_14, t.obv,
       t.vwap)
      is distinct from
      (new.close, new.volume, new.sma_20, new.sma_50, new.ema_12, new.ema_26, new.rsi_14, new.macd,
       new.macd_signal, new.macd_histogram, new.bollinger_upper, new.bollinger_middle,
       new.bollinger_lower, new.atr_14, new.obv, new.vwap)
