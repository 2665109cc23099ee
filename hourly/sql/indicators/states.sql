-- The states of symbols. $1: interval, $2: the symbols.
select symbol, start, state from indicator_states
where interval = $1 and symbol = any($2)
