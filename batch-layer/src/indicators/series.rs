//! TA-Lib over one symbol's bars.

use common::Timestamp;
use ta_lib::{Core, MAType, OutRange, RetCode};

/// One symbol's bars of one interval in order of time, column by column. Hours or days without a trade are not there:
/// the bar before a weekend is the neighbour of the one after it.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Series {
    pub start: Vec<Timestamp>,
    pub high: Vec<f64>,
    pub low: Vec<f64>,
    pub close: Vec<f64>,
    /// None where one of the bar's ticks has none.
    pub volume: Vec<Option<f64>>,
    /// None where the bar's volume is zero, or not known.
    pub vwap: Vec<Option<f64>>,
}

/// The columns of `technical_indicators` that [`compute`] gives, in its order.
pub const COLUMNS: [&str; 14] = [
    "sma_20",
    "sma_50",
    "ema_12",
    "ema_26",
    "rsi_14",
    "macd",
    "macd_signal",
    "macd_histogram",
    "bollinger_upper",
    "bollinger_middle",
    "bollinger_lower",
    "atr_14",
    "obv",
    "vwap",
];

/// One value a bar; None before the first bar for which it is defined.
pub type Column = Vec<Option<f64>>;

/// All [`COLUMNS`], each as long as the series.
///
/// # Errors
/// Where TA-Lib refuses the numbers: infinite ones, for example.
pub fn compute(series: &Series) -> Result<[Column; COLUMNS.len()], RetCode> {
    let Series { high, low, close, volume, vwap, .. } = series;
    let Some(last) = close.len().checked_sub(1) else {
        return Ok([const { Vec::new() }; COLUMNS.len()]);
    };
    let ta = Core::new();
    let [sma_20, sma_50] = [20, 50].map(|period| one(last, |out| ta.sma(0, last, close, period, out)));
    let [ema_12, ema_26] = [12, 26].map(|period| one(last, |out| ta.ema(0, last, close, period, out)));
    let rsi_14 = one(last, |out| ta.rsi(0, last, close, 14, out))?;
    let [macd, signal, histogram] = three(last, |a, b, c| ta.macd(0, last, close, 12, 26, 9, a, b, c))?;
    let [upper, middle, lower] = three(last, |a, b, c| ta.bbands(0, last, close, 20, 2.0, 2.0, MAType::SMA, a, b, c))?;
    let atr_14 = one(last, |out| ta.atr(0, last, high, low, close, 14, out))?;
    let obv = match volume.iter().copied().collect::<Option<Vec<f64>>>() {
        Some(volume) => one(last, |out| ta.obv(0, last, close, &volume, out))?,
        // It is a running sum, of which a part is not known.
        None => vec![None; last + 1],
    };
    let averages = [sma_20?, sma_50?, ema_12?, ema_26?];
    let [sma_20, sma_50, ema_12, ema_26] = averages;
    Ok([
        sma_20,
        sma_50,
        ema_12,
        ema_26,
        rsi_14,
        macd,
        signal,
        histogram,
        upper,
        middle,
        lower,
        atr_14,
        obv,
        vwap.clone(),
    ])
}

fn one(last: usize, indicator: impl FnOnce(&mut [f64]) -> Result<OutRange, RetCode>) -> Result<Column, RetCode> {
    let mut out = vec![0.0; last + 1];
    let range = indicator(&mut out)?;
    Ok(aligned(last, &range, &out))
}

fn three(
    last: usize,
    indicator: impl FnOnce(&mut [f64], &mut [f64], &mut [f64]) -> Result<OutRange, RetCode>,
) -> Result<[Column; 3], RetCode> {
    let [mut a, mut b, mut c] = [(); 3].map(|()| vec![0.0; last + 1]);
    let range = indicator(&mut a, &mut b, &mut c)?;
    Ok([a, b, c].map(|out| aligned(last, &range, &out)))
}

/// TA-Lib writes its values from the front of `out`, the first of them being the one of bar `beg_idx`.
fn aligned(last: usize, range: &OutRange, out: &[f64]) -> Column {
    let mut column = vec![None; last + 1];
    for (value, slot) in out.iter().take(range.count).zip(column.iter_mut().skip(range.beg_idx)) {
        *slot = Some(*value);
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::repeat_n;

    fn rising(bars: usize) -> Series {
        let close: Vec<f64> = (0..bars).map(|bar| 100.0 + bar as f64).collect();
        Series {
            start: (0..bars).map(|bar| Timestamp::from_micros(bar as i64 * Timestamp::HOUR)).collect(),
            high: close.iter().map(|close| close + 1.0).collect(),
            low: close.iter().map(|close| close - 1.0).collect(),
            volume: repeat_n(Some(10.0), bars).collect(),
            vwap: repeat_n(Some(1.0), bars).collect(),
            close,
        }
    }

    #[test]
    fn each_column_begins_with_the_bar_that_completes_its_period() {
        let columns = compute(&rising(60)).unwrap();
        let first = columns.map(|column| column.iter().position(Option::is_some).unwrap());
        // By TA-Lib's convention MACD begins where its signal does: 26 + 9 - 2.
        assert_eq!(first, [19, 49, 11, 25, 14, 33, 33, 33, 19, 19, 19, 14, 0, 0]);
    }

    #[test]
    fn known_values_of_a_price_that_rises_by_one_a_bar() {
        let columns = compute(&rising(60)).unwrap();
        let last = |name: &str| columns[COLUMNS.iter().position(|column| *column == name).unwrap()][59].unwrap();
        assert_eq!(last("sma_20"), 149.5);
        assert_eq!(last("rsi_14"), 100.0);
        assert_eq!(last("obv"), 600.0);
        assert!((last("atr_14") - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_bar_without_a_volume_leaves_on_balance_volume_unknown_and_nothing_else() {
        let mut series = rising(60);
        series.volume[30] = None;
        let (columns, known) = (compute(&series).unwrap(), compute(&rising(60)).unwrap());
        let obv = COLUMNS.iter().position(|column| *column == "obv").unwrap();
        assert!(columns[obv].len() == 60 && columns[obv].iter().all(Option::is_none));
        assert_eq!(columns[..obv], known[..obv]);
    }

    #[test]
    fn a_series_that_is_too_short_has_no_value_yet() {
        for bars in 0..11 {
            let columns = compute(&rising(bars)).unwrap();
            assert!(columns.iter().all(|column| column.len() == bars));
            assert!(columns[..12].iter().flatten().all(Option::is_none), "{bars} bars");
        }
    }
}
