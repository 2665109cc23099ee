//! Messages that hold several ticks, through both layers and `verify`.

use crate::pipeline::Pipeline;
use clap::Parser;
use reconciliation::VerifyArgs;
use testing::TestMessage;
use tokio_util::sync::CancellationToken;

const FEED: [&str; 2] = ["--preset", "finnhub"];
const MESSAGES: i64 = 60;
const ELEMENTS: i64 = 25;
/// 2025-06-06T13:59:00Z: half of the messages have ticks of two hours.
const START: i64 = 1_749_218_340_000;

/// As Finnhub sends trades: fractions, trades that share a millisecond, and an element that is
/// none.
fn message(number: i64) -> String {
    let trade = |element: i64| {
        let (at, symbol) = (
            START + number * 1000 + element / 4 * 4000,
            ["AAPL", "BTC-USD"][(element % 2) as usize],
        );
        let price = match element {
            7 => "\"none\"".to_owned(),
            _ => format!("{}.{:02}", 100 + number, element),
        };
        format!(
            r#"{{"c":["1"],"p":{price},"s":"{symbol}","t":{at},"v":{element}.000000{}}}"#,
            number % 10
        )
    };
    let trades: Vec<String> = (0..ELEMENTS).map(trade).collect();
    format!(r#"{{"data":[{}],"type":"trade"}}"#, trades.join(","))
}

#[tokio::test]
async fn ticks_of_messages_that_hold_several_are_the_same_in_both_layers_and_verify_finds_no_difference()
 {
    let pipeline = Pipeline::empty().await;
    let records = (0..MESSAGES).map(|number| {
        TestMessage::new((number % 2) as i32, message(number)).at(START + number * 1000)
    });
    pipeline.topic.produce(records).await;
    // A heartbeat, which is a reject, and a trade alone.
    let last = START + MESSAGES * 1000;
    let alone = format!(r#"{{"p":7,"s":"AAPL","t":{last},"v":1}}"#);
    let more = [r#"{"data":[],"type":"ping"}"#.to_owned(), alone]
        .map(|value| TestMessage::new(0, value).at(last));
    pipeline.topic.produce(more).await;
    pipeline.archive().await;
    pipeline.write(&FEED, MESSAGES * ELEMENTS + 2).await;
    pipeline.sum_up(&FEED).await;

    let count = async |sql: &'static str| -> i64 {
        sqlx::query_scalar(sql).fetch_one(pipeline.database.pool()).await.unwrap()
    };
    let ticks = MESSAGES * (ELEMENTS - 1) + 1;
    assert_eq!(count("select count(*) from realtime_stock").await, ticks);
    assert_eq!(count("select count(*) from rejected_ticks where kafka_index = 7").await, MESSAGES);
    assert_eq!(count("select count(*) from rejected_lines where element = 7").await, MESSAGES);
    assert_eq!(count("select sum(ticks)::bigint from hourly_stock_summary").await, ticks);
    assert_eq!(count("select duplicates from batch_runs").await, 0);
    assert_eq!(
        count(DIFFERENCES).await,
        0,
        "summaries are those of the ticks, in the order of their places"
    );

    let arguments = ["--topic", pipeline.topic.name(), "--kafka-brokers", pipeline.topic.brokers()];
    let flags = pipeline.archive_flags();
    let flags = flags.iter().map(String::as_str).chain(FEED).chain(arguments);
    let args = VerifyArgs::try_parse_from(["verify"].into_iter().chain(flags)).unwrap();
    reconciliation::run(args.clone(), CancellationToken::new()).await.unwrap();
    assert_eq!(count("select count(*) from reconciled_hours where status = 'ok'").await, 2);

    // One element of a message is missed.
    let delete = "delete from realtime_stock where (kafka_partition, kafka_offset, kafka_index) = (1, 3, 12)";
    sqlx::query(delete).execute(pipeline.database.pool()).await.unwrap();
    reconciliation::run(args, CancellationToken::new()).await.unwrap_err();
    let details = "select detail from reconciliations where status = 'mismatch'";
    let details: Vec<String> =
        sqlx::query_scalar(details).fetch_all(pipeline.database.pool()).await.unwrap();
    assert_eq!(details.len(), 1, "{details:?}");
    assert!(
        details[0].contains("1 tick of the archive is not in realtime_stock: offsets 3[12]"),
        "{details:?}"
    );
}

/// Rows of `hourly_stock_summary` that are not those of the ticks.
pub const DIFFERENCES: &str = "
    with plain as (
        select symbol, date_trunc('hour', timestamp, 'UTC') as hour, count(*) as ticks, sum(volume) as volume,
               (array_agg(open order by timestamp, kafka_partition, kafka_offset, kafka_index))[1] as open,
               (array_agg(close order by timestamp desc, kafka_partition desc, kafka_offset desc, kafka_index desc))[1]
                   as close
        from realtime_stock group by 1, 2)
    select count(*) from plain p full join hourly_stock_summary s using (symbol, hour)
    where (p.ticks, p.volume, p.open, p.close) is distinct from (s.ticks, s.volume, s.open, s.close)";
