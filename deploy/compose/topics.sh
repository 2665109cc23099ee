#!/bin/bash
# Creates the topics, and gives stock_prices more partitions where PARTITIONS has risen. Kafka takes
# none away.
set -eu
case $PARTITIONS in
'' | 0* | *[!0-9]* | ?????*)
    echo "KAFKA_PARTITIONS is $PARTITIONS, which is no number of partitions: 1 to 9999" >&2
    exit 1
    ;;
esac
topics() { "${KAFKA_BIN:-/opt/kafka/bin}/kafka-topics.sh" --bootstrap-server kafka:19092 "$@"; }

topics --create --if-not-exists --topic stock_prices --partitions "$PARTITIONS" --replication-factor 1
topics --create --if-not-exists --topic dlq --partitions 1 --replication-factor 1

described=$(topics --describe --topic stock_prices)
there=$(printf '%s\n' "$described" | sed -n 's/.*PartitionCount: *\([0-9]*\).*/\1/p' | head -n 1)
case $there in
'' | *[!0-9]*)
    echo "topic stock_prices: no PartitionCount in what kafka-topics.sh says of it: $described" >&2
    exit 1
    ;;
esac
if [ "$there" -lt "$PARTITIONS" ]; then
    topics --alter --topic stock_prices --partitions "$PARTITIONS"
    echo "topic stock_prices: $PARTITIONS partitions, $there before"
elif [ "$there" -gt "$PARTITIONS" ]; then
    echo "topic stock_prices: keeps its $there partitions, since Kafka takes none away (KAFKA_PARTITIONS is $PARTITIONS)"
fi
