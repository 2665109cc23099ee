//! Messages as well-known feeds send them, with fractions of volumes and without any, through the
//! whole pipeline.

use crate::pipeline::Pipeline;
use common::Named;
use common::decode::Preset;

async fn replay(shape: &str, flags: &[&str]) {
    let market =
        ["--ticks", "400", "--symbols", "8", "--start", "2025-06-06T13:30:00Z", "--span", "2h"];
    let more = ["--late", "0.05", "--broken", "0.05", "--without-volume", "0.02", "--shape", shape];
    let pipeline = Pipeline::of(&[&market[..], &more].concat(), flags).await;
    let count = "select count(*) from realtime_stock where volume % 1 > 0";
    let fractions: i64 =
        sqlx::query_scalar(count).fetch_one(pipeline.database.pool()).await.unwrap();
    let has_fractions = ["binance", "coinbase", "kraken", "massive", "cryptofeed"].contains(&shape);
    assert_eq!(fractions > 300, has_fractions, "{shape}: {fractions}");
    let (code, proof) = pipeline.prove_shape(&pipeline.database, shape).await;
    assert_eq!((code, proof["proof"].as_str()), (0, Some("ok")), "{shape}: {proof}");
    assert_eq!(proof["records"], 400, "{shape}: {proof}");
    pipeline.verify(flags).await.unwrap_or_else(|failure| panic!("{shape}: {failure}"));
}

/// A test for each preset: its messages go through both layers, and all agree.
macro_rules! presets {
    ($($test:ident: $name:literal),* $(,)?) => {
        const PRESETS: &[&str] = &[$($name),*];
        $(
            #[tokio::test]
            async fn $test() {
                replay($name, &["--preset", $name]).await;
            }
        )*
    };
}

presets! {
    messages_of_finnhub_agree_in_both_layers: "finnhub",
    messages_of_binance_agree_in_both_layers: "binance",
    messages_of_coinbase_agree_in_both_layers: "coinbase",
    messages_of_kraken_agree_in_both_layers: "kraken",
    messages_of_alpaca_agree_in_both_layers: "alpaca",
    messages_of_massive_agree_in_both_layers: "massive",
    messages_of_cryptofeed_agree_in_both_layers: "cryptofeed",
    messages_of_yfinance_agree_in_both_layers: "yfinance",
    messages_of_alpha_vantage_agree_in_both_layers: "alpha-vantage",
}

#[tokio::test]
async fn trades_by_their_usual_names_agree_in_both_layers() {
    replay("trade", &[]).await;
}

#[test]
fn no_preset_is_left_out() {
    let mut all: Vec<&str> = Preset::ALL.iter().map(|(_, name, _)| *name).collect();
    let mut tested = PRESETS.to_vec();
    all.sort_unstable();
    tested.sort_unstable();
    assert_eq!(all, tested);
}
