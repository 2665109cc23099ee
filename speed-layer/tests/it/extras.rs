//! Quotes, sale conditions and a feed's own number.

use crate::scene::{PATIENCE, Scene, http_address, metric};
use testing::TestMessage;

/// Offset, index, bid, ask, sequence and conditions.
type Row = (i64, i16, Option<String>, Option<String>, Option<i64>, Option<Vec<String>>);

async fn rows(scene: &Scene) -> Vec<Row> {
    let sql = "select kafka_offset, kafka_index, bid::text, ask::text, sequence, conditions
               from realtime_stock order by kafka_offset, kafka_index";
    sqlx::query_as(sql).fetch_all(scene.database.pool()).await.unwrap()
}

fn trade(volume: i64, members: &str) -> String {
    format!(r#"{{"symbol":"A","price":2.5,"volume":{volume},"ts":1749218401123{members}}}"#)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn what_ticks_say_beside_price_and_volume_is_kept_also_where_a_batch_is_cut_in_parts() {
    let scene = Scene::new(1).await;
    let mut migrating = scene.start(&["--migrations", "only"]);
    assert!(migrating.wait_exit(PATIENCE).await.success(), "{:?}", migrating.stderr());
    // A refused tick makes the batch be written in parts, whose ticks are read back from their
    // rows.
    let forbid = "alter table realtime_stock add constraint not_seven check (volume <> 17)";
    scene.execute(forbid).await;
    let full = trade(
        2,
        r#","bid":2.45,"ask":"2.5500","n":9223372036854775807,"conditions":["@","Odd Lot","é",37]"#,
    );
    let messages = [
        trade(1, ""),
        full.clone(),
        format!("[{},{},{full}]", trade(3, ""), trade(4, r#","ask":1"#)),
        trade(17, r#","bid":1"#),
        trade(5, r#","bid":"n/a","ask":[1],"conditions":[" "],"n":0"#),
    ];
    scene.topic.produce(messages.map(|message| TestMessage::new(0, message))).await;
    let speed_layer = scene.start(&["--map", "sequence=n"]);
    let address = http_address(&speed_layer).await;
    testing::eventually("all to be in a table", PATIENCE, || async {
        let seen = scene.count("select sum(next_offset)::bigint from kafka_offsets").await;
        if seen == 5 { Ok(()) } else { Err(format!("{seen} of 5")) }
    })
    .await;
    let codes = || Some(["@", "Odd Lot", "é", "37"].map(str::to_owned).to_vec());
    let full = |offset, index| (offset, index, text("2.45"), text("2.55"), Some(i64::MAX), codes());
    let expected = [
        (0, 0, None, None, None, None),
        full(1, 0),
        (2, 0, None, None, None, None),
        (2, 1, None, text("1"), None, None),
        full(2, 2),
        (4, 0, None, None, Some(0), None),
    ];
    assert_eq!(rows(&scene).await, expected);
    let refused =
        "select count(*) from rejected_ticks where convert_from(value, 'UTF8') like '%\"bid\":1}'";
    assert_eq!(scene.count(refused).await, 1);
    testing::eventually("the metrics to say so", PATIENCE, || async {
        match metric(&address, "speed_layer_ticks_with_unread_fields_total") {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
