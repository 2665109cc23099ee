//! Messages as well-known feeds send them, with fractions of volumes and without any, through the whole pipeline.

use clap::ValueEnum;
use common::decode::Preset;
use futures::StreamExt;

use crate::pipeline::Pipeline;

/// Each takes both layers, with tables of their own; more at once would take longer.
const AT_ONCE: usize = 3;

async fn replay(shape: &str, flags: &[&str]) {
    let market = ["--ticks", "400", "--symbols", "8", "--start", "2025-06-06T13:30:00Z", "--span", "2h"];
    let more = ["--late", "0.05", "--broken", "0.05", "--without-volume", "0.02", "--shape", shape];
    let pipeline = Pipeline::of(&[&market[..], &more].concat(), flags).await;
    let count = "select count(*) from realtime_stock where volume % 1 > 0";
    let fractions: i64 = sqlx::query_scalar(count).fetch_one(pipeline.database.pool()).await.unwrap();
    let is_of_coins = ["binance", "coinbase", "kraken", "cryptofeed"].contains(&shape);
    assert_eq!(fractions > 300, is_of_coins, "{shape}: {fractions}");
    let (code, proof) = pipeline.prove_shape(&pipeline.database, shape).await;
    assert_eq!((code, proof["proof"].as_str()), (0, Some("ok")), "{shape}: {proof}");
    assert_eq!(proof["records"], 400, "{shape}: {proof}");
    pipeline.verify(flags).await.unwrap_or_else(|failure| panic!("{shape}: {failure}"));
}

#[tokio::test]
async fn every_preset_s_messages_go_through_both_layers_and_agree() {
    let presets = Preset::value_variants().iter().map(|preset| preset.to_possible_value().unwrap());
    let presets = presets.map(|preset| preset.get_name().to_owned());
    let replays = presets.map(|name| async move { replay(&name, &["--preset", &name]).await });
    futures::stream::iter(replays).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    replay("trade", &[]).await;
}
