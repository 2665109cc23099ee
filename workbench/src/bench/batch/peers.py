"""One aggregation of an hour by an engine that is not ours; prints the seconds that it took and writes its rows.

    peers.py ENGINE SHAPE SOURCE ROWS

ENGINE: duckdb, chdb or sequential; duckdb-symbol: one symbol's minutes of a day. SHAPE: bare or envelope; of the
symbol lines or lake. SOURCE: a glob of files, or s3://BUCKET/GLOB with the
store's address and keys in the environment. ROWS: the tab-separated file to write. Only the query is timed: neither
the start of Python nor the loading of the engine counts against it.
"""

import os
import sys
import time
from urllib.parse import urlparse

THREADS = 2
FIRST, END = "2025-06-06 14:00:00", "2025-06-06 15:00:00"
SYMBOL = "AAPL"
FIELDS = "symbol timestamp open high low close volume kafka_partition kafka_offset".split()


def duckdb_rows(shape, source):
    connection = duckdb_connection(source)
    types, columns = duckdb_columns()
    fields = "*"
    if shape == "envelope":
        members = ", ".join(f"{name} {kind}" for name, kind in types.items())
        columns, fields = f"payload: 'struct({members})'", "unnest(payload)"
    # One number that orders as (timestamp, partition, offset) do: faster here than a row of three.
    order = "epoch_us(timestamp)::hugeint * 1000000000000000 + kafka_partition * 1000000000000 + kafka_offset"
    query = f"""
        select symbol, arg_min(open, {order}), max(greatest(open, close, high)), min(least(open, close, low)),
               arg_max(close, {order}), sum(volume), count(*), sum(close), sum(close * volume)
        from (select {fields} from read_json('{source}', format = 'newline_delimited', columns = {{{columns}}}))
        where timestamp >= '{FIRST}' and timestamp < '{END}'
        group by symbol"""
    return timed(lambda: connection.execute(query).fetchall())


def duckdb_connection(source):
    import duckdb

    connection = duckdb.connect(config={"threads": THREADS})
    connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false")
    if source.startswith("s3://"):
        duckdb_s3(connection)
    return connection


def duckdb_columns():
    types = dict(zip(FIELDS, "varchar timestamptz decimal(18,9) decimal(18,9) decimal(18,9) decimal(18,9) bigint integer bigint".split()))
    return types, ", ".join(f"{name}: '{kind}'" for name, kind in types.items())


def duckdb_symbol_rows(shape, source):
    """What a chart asks for: a symbol's minutes of a day."""
    connection = duckdb_connection(source)
    ticks = f"read_json('{source}', format = 'newline_delimited', columns = {{{duckdb_columns()[1]}}})"
    if shape == "lake":
        ticks = f"read_parquet('{source}')"
    query = f"""
        select date_trunc('minute', timestamp), first(close order by timestamp, kafka_partition, kafka_offset),
               max(close), min(close), sum(volume)::decimal(38,9), count(*)
        from {ticks}
        where symbol = '{SYMBOL}' and timestamp >= '{FIRST[:10]}' and timestamp < date '{FIRST[:10]}' + 1
        group by 1"""
    return timed(lambda: connection.execute(query).fetchall())


def duckdb_s3(connection):
    import duckdb_extension_httpfs
    from pathlib import Path

    # The package's own folder holds the extension, where another package of the same name would look for downloads.
    file = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    connection.execute(f"load '{file}'")
    endpoint = urlparse(os.environ["S3_ENDPOINT_URL"])
    connection.execute(f"""
        create secret (type s3, key_id '{os.environ["AWS_ACCESS_KEY_ID"]}', secret '{os.environ["AWS_SECRET_ACCESS_KEY"]}',
                       endpoint '{endpoint.netloc}', url_style 'path', use_ssl {endpoint.scheme == "https"})""")


def chdb_rows(shape, source):
    from chdb.session import Session

    kinds = "String DateTime64(6,'UTC') Decimal(18,9) Nullable(Decimal(18,9)) Nullable(Decimal(18,9)) Decimal(18,9) Int64 Int32 Int64"
    structure = ", ".join(f"{name} {kind}" for name, kind in zip(FIELDS, kinds.split(" ")))
    prefix = ""
    if shape == "envelope":
        structure, prefix = f"payload Tuple({structure})", "payload."
    structure = structure.replace("'", "\\'")
    if source.startswith("s3://"):
        address = f"{os.environ['S3_ENDPOINT_URL'].rstrip('/')}/{source.removeprefix('s3://')}"
        keys = f"'{os.environ['AWS_ACCESS_KEY_ID']}', '{os.environ['AWS_SECRET_ACCESS_KEY']}'"
        table = f"s3('{address}', {keys}, 'JSONEachRow', '{structure}')"
    else:
        table = f"file('{source}', 'JSONEachRow', '{structure}')"
    symbol, timestamp, opened, high, low, close, volume, partition, offset = (prefix + name for name in FIELDS)
    order = f"({timestamp}, {partition}, {offset})"
    query = f"""
        select {symbol}, argMin({opened}, {order}), max(greatest({opened}, {close}, coalesce({high}, {close}))),
               min(least({opened}, {close}, coalesce({low}, {close}))), argMax({close}, {order}), sum({volume}), count(),
               sum(toDecimal128({close}, 9)), sum(toDecimal128({close}, 9) * {volume})
        from {table}
        where {timestamp} >= '{FIRST}' and {timestamp} < '{END}'
        group by {symbol}
        settings max_threads = {THREADS}, date_time_input_format = 'best_effort', input_format_skip_unknown_fields = 1,
                 schema_inference_use_cache_for_s3 = 0"""
    session = Session()
    session.query("select 1")
    seconds, text = timed(lambda: session.query(query, "TabSeparated").bytes().decode())
    return seconds, [line.split("\t") for line in text.splitlines()]


def sequential_rows(shape, source):
    """An object after the other, a line after the other: what a first program does."""
    import json
    from datetime import datetime
    from decimal import Decimal

    import boto3

    store = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"])
    address = urlparse(source)
    prefix = address.path.lstrip("/").rstrip("*")

    def aggregate():
        bars = {}
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=address.netloc, Prefix=prefix):
            for listed in page.get("Contents", []):
                body = store.get_object(Bucket=address.netloc, Key=listed["Key"])["Body"].read()
                for line in body.splitlines():
                    add(bars, json.loads(line, parse_float=Decimal))
        return bars

    def add(bars, tick):
        order = (datetime.fromisoformat(tick["timestamp"]), tick["kafka_partition"], tick["kafka_offset"])
        opened, close, volume = tick["open"], tick["close"], tick["volume"]
        high = max(opened, close, tick.get("high", close))
        low = min(opened, close, tick.get("low", close))
        bar = bars.get(tick["symbol"])
        if bar is None:
            bars[tick["symbol"]] = [order, opened, high, low, order, close, volume, 1, close, close * volume]
            return
        if order < bar[0]:
            bar[0], bar[1] = order, opened
        if order > bar[4]:
            bar[4], bar[5] = order, close
        bar[2], bar[3] = max(bar[2], high), min(bar[3], low)
        bar[6] += volume
        bar[7] += 1
        bar[8] += close
        bar[9] += close * volume

    seconds, bars = timed(aggregate)
    return seconds, [[symbol, *bar[1:4], *bar[5:]] for symbol, bar in bars.items()]


def timed(query):
    begun = time.perf_counter()
    rows = query()
    return time.perf_counter() - begun, rows


def main():
    engine, shape, source, path = sys.argv[1:]
    engines = {"duckdb": duckdb_rows, "chdb": chdb_rows, "sequential": sequential_rows, "duckdb-symbol": duckdb_symbol_rows}
    seconds, rows = engines[engine](shape, source)
    with open(path, "w", encoding="utf-8") as out:
        for row in sorted(rows, key=lambda row: row[0]):
            out.write("\t".join(str(value) for value in row) + "\n")
    print(seconds)


main()
