-- Ends the holder's lease before its time. $1: the process.
update realtime_upkeep set leased_until = clock_timestamp() where holder = $1
