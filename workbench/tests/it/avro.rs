//! Avro messages through both layers and `verify`: the speed layer reads them by a registry, the
//! batch layer what Connect's Avro converter makes of them.

use crate::pipeline::Pipeline;
use crate::several::DIFFERENCES;
use testing::{TestMessage, TestRegistry, avro_bytes, avro_long, framed};

const TRADE: &str = r#"{"type":"record","name":"Trade","fields":[
    {"name":"symbol","type":"string"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":4}},
    {"name":"size","type":["null",{"type":"bytes","logicalType":"decimal","precision":18,"scale":8}],"default":null},
    {"name":"ts","type":{"type":"long","logicalType":"timestamp-micros"}}]}"#;

const PARTITIONS: i64 = 2;
const MESSAGES: i64 = 120;
/// 2025-06-06T14:00:01.123456Z
const START: i64 = 1_749_218_401_123_456;

/// A trade in units of its schema: prices of 10^-4, sizes of 10^-8.
struct Trade {
    symbol: &'static str,
    price: i64,
    size: Option<i64>,
    at: i64,
}

impl Trade {
    /// Every symbol's ticks are in both partitions, and those of one have no size.
    fn new(number: i64) -> Self {
        let symbol = ["AAPL", "BTC-USD", "NIFTY 50"][(number % 3) as usize];
        let size = (number % 3 < 2).then_some(number * 12_345_678 + 1);
        Self { symbol, price: 2_015_000 + number * 7, size, at: START + number * 1_000_001 }
    }

    fn as_avro(&self) -> Vec<u8> {
        let decimal = |units: i64| avro_bytes(&units.to_be_bytes());
        let size = self.size.map_or_else(|| vec![0], |size| [avro_long(1), decimal(size)].concat());
        [avro_bytes(self.symbol.as_bytes()), decimal(self.price), size, avro_long(self.at)].concat()
    }

    /// As Connect's converter and sink write it, with `json.decimal.format=NUMERIC` and the
    /// record's place.
    fn as_line(&self, partition: i64, offset: i64) -> String {
        let Self { symbol, price, at, .. } = self;
        let size = self.size.map_or_else(|| "null".to_owned(), |size| fixed(size, 8));
        let price = fixed(*price, 4);
        format!(
            r#"{{"symbol":"{symbol}","price":{price},"size":{size},"ts":{at},"kafka_partition":{partition},"kafka_offset":{offset}}}"#
        )
    }
}

fn fixed(units: i64, digits: u32) -> String {
    let one = 10_i64.pow(digits);
    format!("{}.{:0width$}", units / one, units % one, width = digits as usize)
}

async fn archive(pipeline: &Pipeline) {
    let topic = pipeline.topic.name();
    for partition in 0..PARTITIONS {
        let numbers = (0..MESSAGES).filter(|number| number % PARTITIONS == partition);
        let lines = (0..)
            .zip(numbers)
            .map(|(offset, number)| Trade::new(number).as_line(partition, offset) + "\n");
        let key = format!("raw/{topic}/2025-06-06-14/{topic}+{partition}+0000000000.json");
        pipeline.bucket.put(&key, lines.collect::<String>()).await.unwrap();
    }
}

#[tokio::test]
async fn avro_messages_are_the_same_ticks_in_both_layers_and_verify_finds_no_difference() {
    let Some(registry) = TestRegistry::start().await else { return };
    let pipeline = Pipeline::empty().await;
    let schema = registry.avro("trades-value", TRADE).await;
    let record = |number: i64| {
        let trade = Trade::new(number);
        TestMessage::new((number % PARTITIONS) as i32, framed(schema, &trade.as_avro()))
            .at(trade.at / 1000)
    };
    pipeline.topic.produce((0..MESSAGES).map(record)).await;
    archive(&pipeline).await;
    pipeline.write(&["--schema-registry", &registry.url()], MESSAGES).await;
    pipeline.sum_up(&[]).await;

    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(pipeline.database.pool()).await.unwrap()
    };
    assert_eq!(count("select count(*) from realtime_stock").await, MESSAGES);
    assert_eq!(
        count("select count(*) from realtime_stock where volume % 1 > 0").await,
        MESSAGES / 3 * 2
    );
    assert_eq!(count("select sum(ticks)::bigint from hourly_stock_summary").await, MESSAGES);
    assert_eq!(count(DIFFERENCES).await, 0, "summaries are those of the ticks");
    pipeline.verify(&[]).await.unwrap();
    assert_eq!(count("select count(*) from reconciled_hours where status = 'ok'").await, 1);

    let change = "update realtime_stock set close = close + 0.0001 where (kafka_partition, kafka_offset) = (1, 3)";
    sqlx::query(change).execute(pipeline.database.pool()).await.unwrap();
    pipeline.verify(&[]).await.unwrap_err();
}
