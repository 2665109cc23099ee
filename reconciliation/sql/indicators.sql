-- The indicators of symbols. $1: the symbols, $2: interval, $3 and $4: from when to when.
select symbol, start, close, volume, sma_20, sma_50, ema_12, ema_26, rsi_14, macd, macd_signal,
       macd_histogram, bollinger_upper, bollinger_middle, bollinger_lower, atr_14, obv, vwap
from technical_indicators
where symbol = any($1) and interval = $2 and start >= $3 and start < $4
