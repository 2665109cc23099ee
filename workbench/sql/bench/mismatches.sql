-- How many of the hour's rows differ from a peer's: in any figure, or in being there. Trailing
-- zeros count for the digits of a quotient.
select count(*) from hourly_stock_summary h full join peer p using (symbol)
where (h.open, h.high, h.low, h.close, h.volume, h.ticks)
          is distinct from (p.open, p.high, p.low, p.close, p.volume, p.ticks)
   or h.avg_close is distinct from trim_scale(p.sum_close) / p.ticks
   or h.avg_volume is distinct from trim_scale(p.volume) / p.ticks
   or h.vwap is distinct from trim_scale(p.notional) / nullif(trim_scale(p.volume), 0)
