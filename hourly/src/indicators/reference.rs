//! TA-Lib's own values over whole series, for the tests of [`super::state`].

use super::state::{Bar, COLUMNS};
use ta_lib::{Core, MAType, OutRange, RetCode};

/// One value a bar; `None` before the first bar for which it is defined.
type Column = Vec<Option<f64>>;

/// All [`COLUMNS`], each as long as the series. Every bar has a volume.
pub fn compute(bars: &[Bar]) -> [Column; COLUMNS.len()] {
    let of = |field: fn(&Bar) -> f64| bars.iter().map(field).collect::<Vec<f64>>();
    let [high, low, close] = [of(|bar| bar.high), of(|bar| bar.low), of(|bar| bar.close)];
    let volume = of(|bar| bar.volume.unwrap());
    let (ta, last) = (Core::new(), bars.len() - 1);
    let [sma_20, sma_50] =
        [20, 50].map(|period| one(last, |out| ta.sma(0, last, &close, period, out)));
    let [ema_12, ema_26] =
        [12, 26].map(|period| one(last, |out| ta.ema(0, last, &close, period, out)));
    let rsi_14 = one(last, |out| ta.rsi(0, last, &close, 14, out));
    let [macd, signal, histogram] =
        three(last, |a, b, c| ta.macd(0, last, &close, 12, 26, 9, a, b, c));
    let [upper, middle, lower] =
        three(last, |a, b, c| ta.bbands(0, last, &close, 20, 2.0, 2.0, MAType::SMA, a, b, c));
    let atr_14 = one(last, |out| ta.atr(0, last, &high, &low, &close, 14, out));
    let obv = one(last, |out| ta.obv(0, last, &close, &volume, out));
    let vwap = bars.iter().map(|bar| bar.vwap).collect();
    [
        sma_20, sma_50, ema_12, ema_26, rsi_14, macd, signal, histogram, upper, middle, lower,
        atr_14, obv, vwap,
    ]
}

fn one(last: usize, indicator: impl FnOnce(&mut [f64]) -> Result<OutRange, RetCode>) -> Column {
    let mut out = vec![0.0; last + 1];
    let range = indicator(&mut out).unwrap();
    aligned(last, &range, &out)
}

fn three(
    last: usize,
    indicator: impl FnOnce(&mut [f64], &mut [f64], &mut [f64]) -> Result<OutRange, RetCode>,
) -> [Column; 3] {
    let [mut a, mut b, mut c] = [(); 3].map(|()| vec![0.0; last + 1]);
    let range = indicator(&mut a, &mut b, &mut c).unwrap();
    [a, b, c].map(|out| aligned(last, &range, &out))
}

/// TA-Lib writes its values from the front of `out`, the first of them being the one of bar
/// `beg_idx`.
fn aligned(last: usize, range: &OutRange, out: &[f64]) -> Column {
    let mut column = vec![None; last + 1];
    for (value, slot) in out.iter().take(range.count).zip(column.iter_mut().skip(range.beg_idx)) {
        *slot = Some(*value);
    }
    column
}

#[test]
fn each_column_begins_with_the_bar_that_completes_its_period() {
    let bar = |number: i32| Bar {
        high: f64::from(number) + 1.0,
        low: f64::from(number) - 1.0,
        close: f64::from(number),
        volume: Some(10.0),
        vwap: Some(1.0),
    };
    let columns = compute(&(0..60).map(bar).collect::<Vec<_>>());
    let first = columns.map(|column| column.iter().position(Option::is_some).unwrap());
    // By TA-Lib's convention MACD begins where its signal does: 26 + 9 - 2.
    assert_eq!(first, [19, 49, 11, 25, 14, 33, 33, 33, 19, 19, 19, 14, 0, 0]);
}
