-- A temporary table for the rows of a peer.
create temporary table peer
(
    symbol text collate "C",
    open numeric, high numeric, low numeric, close numeric,
    volume numeric, ticks bigint, sum_close numeric, notional numeric
)
