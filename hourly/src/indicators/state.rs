//! [`State`]: what a symbol's bars have come to so far, so that the next bar's indicators follow
//! from it.
//!
//! The arithmetic is TA-Lib's, operation by operation, and a test holds every digit against
//! TA-Lib's own over the whole series. Running sums carry the rounding of all bars before, so they
//! belong to the state: whoever goes on from a kept one comes to the same digits as whoever begins
//! with the first bar.

use std::array;

/// The columns of `technical_indicators` that [`State::push`] gives, in its order.
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

/// A bar's [`COLUMNS`]; `None` before the first bar for which a column is defined.
pub type BarValues = [Option<f64>; COLUMNS.len()];

/// Version of the layout of bytes and of the meaning of the numbers. A state with another one is as
/// if it had not been kept.
const VERSION: u8 = 1;

/// The longest window that is looked back at.
const WINDOW: usize = 50;
/// Periods of RSI and ATR (Wilder 1978).
const WILDER: u64 = 14;
/// MACD's slow average is begun with 26 bars, its fast one with the last 12 of them.
const FAST_BEGINS: u64 = 14;
const LINE_BEGINS: u64 = 25;

/// Input of indicators. Hours or days without a trade have none: the bar before a weekend
/// is the neighbour of the one after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    pub high: f64,
    pub low: f64,
    pub close: f64,
    /// `None` where one of the bar's ticks has none.
    pub volume: Option<f64>,
    /// `None` where the bar's volume is zero, or not known.
    pub vwap: Option<f64>,
}

/// All that the bars so far have come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    bars: u64,
    closes: Closes,
    sma_20: f64,
    sma_50: f64,
    ema_12: f64,
    ema_26: f64,
    fast: f64,
    signal: f64,
    gain: f64,
    loss: f64,
    atr: f64,
    obv: f64,
    /// A bar had no volume: of a running sum a part is not known, and never will be.
    is_obv_unknown: bool,
    bands: Bands,
}

/// The last closes.
#[derive(Debug, Clone, PartialEq)]
struct Closes {
    ring: [f64; WINDOW],
    count: u64,
}

/// A variance over the last 20 closes: sums of their distances from `shift`, which are computed
/// again now and then.
#[derive(Debug, Clone, Default, PartialEq)]
struct Bands {
    shift: f64,
    sum: f64,
    squares: f64,
    peak: f64,
    /// Bars until they are computed again.
    left: u64,
}

impl State {
    /// Takes in the next bar; gives its values.
    pub fn push(&mut self, bar: &Bar) -> BarValues {
        let (number, close) = (self.bars, bar.close);
        let before = self.closes.ago(0);
        self.bars += 1;
        self.closes.push(close);
        let sma_20 = simple(&mut self.sma_20, &self.closes, 20);
        let sma_50 = simple(&mut self.sma_50, &self.closes, 50);
        let ema_12 = exponential(&mut self.ema_12, close, number, 12);
        let ema_26 = exponential(&mut self.ema_26, close, number, 26);
        let [macd, signal, histogram] = self.macd(close, number, ema_26);
        let deviation = self.bands.push(&self.closes).map(|deviation| deviation * 2.0);
        let band = |of: fn(f64, f64) -> f64| Some(of(sma_20?, deviation?));
        let [rsi_14, atr_14] = match before {
            Some(before) => {
                [self.rsi(close - before, number - 1), self.atr(bar, before, number - 1)]
            }
            None => [None; 2],
        };
        let obv = self.obv(bar, before);
        let (upper, lower) =
            (band(|middle, width| middle + width), band(|middle, width| middle - width));
        [
            sma_20, sma_50, ema_12, ema_26, rsi_14, macd, signal, histogram, upper, sma_20, lower,
            atr_14, obv, bar.vwap,
        ]
    }

    fn macd(&mut self, close: f64, number: u64, slow: Option<f64>) -> [Option<f64>; 3] {
        let fast = number
            .checked_sub(FAST_BEGINS)
            .and_then(|of| exponential(&mut self.fast, close, of, 12));
        let (Some(fast), Some(slow)) = (fast, slow) else {
            return [None; 3];
        };
        let line = fast - slow;
        match exponential(&mut self.signal, line, number - LINE_BEGINS, 9) {
            Some(signal) => [Some(line), Some(signal), Some(line - signal)],
            None => [None; 3],
        }
    }

    /// `number`: of the change, from 0.
    fn rsi(&mut self, change: f64, number: u64) -> Option<f64> {
        let gain = if change > 0.0 { change } else { 0.0 };
        if number >= WILDER {
            self.loss *= (WILDER - 1) as f64;
            self.gain *= (WILDER - 1) as f64;
        }
        self.gain += gain;
        self.loss += gain - change;
        if number + 1 < WILDER {
            return None;
        }
        self.loss *= 1.0 / WILDER as f64;
        self.gain *= 1.0 / WILDER as f64;
        let total = self.gain + self.loss;
        Some(if total > 0.0 { 100.0 * (self.gain / total) } else { 50.0 })
    }

    /// `number`: of the range, from 0.
    fn atr(&mut self, bar: &Bar, before: f64, number: u64) -> Option<f64> {
        let distances = [(before - bar.high).abs(), (before - bar.low).abs()];
        let range = distances
            .into_iter()
            .fold(bar.high - bar.low, |most, one| if one > most { one } else { most });
        let beta = (WILDER - 1) as f64 / WILDER as f64;
        smoothed(&mut self.atr, range, number, (WILDER, beta))
    }

    fn obv(&mut self, bar: &Bar, before: Option<f64>) -> Option<f64> {
        self.is_obv_unknown |= bar.volume.is_none();
        let volume = bar.volume.unwrap_or_default();
        match before {
            None => self.obv = volume,
            Some(before) if bar.close > before => self.obv += volume,
            Some(before) if bar.close < before => self.obv -= volume,
            Some(_) => {}
        }
        (!self.is_obv_unknown).then_some(self.obv)
    }

    /// For being kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut all = self.clone();
        let mut bytes = vec![VERSION, u8::from(self.is_obv_unknown)];
        for number in [self.bars, self.bands.left] {
            bytes.extend(number.to_le_bytes());
        }
        all.floats().for_each(|float| bytes.extend(float.to_le_bytes()));
        bytes
    }

    /// Reads the bytes of [`State::to_bytes`]; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, is_obv_unknown], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (words, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let mut state = Self { is_obv_unknown: is_obv_unknown == 1, ..Self::default() };
        let (&[bars, left], words) = words.split_first_chunk()?;
        (state.bars, state.bands.left) = (u64::from_le_bytes(bars), u64::from_le_bytes(left));
        state.closes.count = state.bars;
        if state.floats().count() != words.len() {
            return None;
        }
        state.floats().zip(words).for_each(|(float, word)| *float = f64::from_le_bytes(*word));
        Some(state)
    }

    fn floats(&mut self) -> impl Iterator<Item = &mut f64> {
        let Self {
            sma_20,
            sma_50,
            ema_12,
            ema_26,
            fast,
            signal,
            gain,
            loss,
            atr,
            obv,
            bands,
            closes,
            ..
        } = self;
        let Bands { shift, sum, squares, peak, .. } = bands;
        let single = [
            sma_20, sma_50, ema_12, ema_26, fast, signal, gain, loss, atr, obv, shift, sum,
            squares, peak,
        ];
        closes.ring.iter_mut().chain(single)
    }
}

impl Default for Closes {
    fn default() -> Self {
        Self { ring: [0.0; WINDOW], count: 0 }
    }
}

impl Closes {
    fn push(&mut self, close: f64) {
        self.ring[(self.count % WINDOW as u64) as usize] = close;
        self.count += 1;
    }

    /// The close of so many bars ago; 0 is the last one's.
    fn ago(&self, bars: u64) -> Option<f64> {
        let number = self.count.checked_sub(bars + 1)?;
        Some(self.ring[(number % WINDOW as u64) as usize])
    }

    /// The last 20, the oldest first.
    fn last_20(&self) -> Option<[f64; 20]> {
        self.ago(19)?;
        Some(array::from_fn(|place| self.ago(19 - place as u64).unwrap_or_default()))
    }
}

/// A simple average over the last `period` closes, of which `total` is the sum between two bars but
/// for the oldest.
fn simple(total: &mut f64, closes: &Closes, period: u64) -> Option<f64> {
    *total += closes.ago(0)?;
    let all = *total;
    *total -= closes.ago(period - 1)?;
    Some(all / period as f64)
}

/// An average that is begun with a simple one, by TA-Lib's EMA. `number`: of the value, from 0.
fn exponential(average: &mut f64, value: f64, number: u64, period: u64) -> Option<f64> {
    smoothed(average, value, number, (period, (period - 1) as f64 / (period + 1) as f64))
}

/// `beta`: the weight of what came before.
fn smoothed(average: &mut f64, value: f64, number: u64, (period, beta): (u64, f64)) -> Option<f64> {
    if number >= period {
        // In one rounding, as TA-Lib has it.
        *average = beta.mul_add(*average, (1.0 - beta) * value);
        return Some(*average);
    }
    *average += value;
    if number + 1 < period {
        return None;
    }
    *average /= period as f64;
    Some(*average)
}

impl Bands {
    /// How long the sums are gone on with.
    const BARS: u64 = 32 * 20;
    const PART: f64 = 1.0 / 20.0;
    /// Below this part of what they were, the sums have lost too many digits.
    const LOST: f64 = 0.000_001;
    /// Below this part, there is nothing but rounding.
    const NOTHING: f64 = 0.000_000_000_001;

    /// The standard deviation of the last 20 closes.
    fn push(&mut self, closes: &Closes) -> Option<f64> {
        let close = closes.ago(0)?;
        if closes.count == 1 {
            *self = Self { shift: close, left: Self::BARS, ..Self::default() };
        }
        self.add(close);
        if self.squares > self.peak {
            self.peak = self.squares;
        }
        let window = closes.last_20()?;
        let mut variance = self.variance();
        self.take(window[0]);
        self.left -= 1;
        if variance < Self::LOST * (self.peak * Self::PART) || self.left == 0 {
            variance = self.begin_anew(&window);
        }
        Some(if variance == 0.0 { 0.0 } else { variance.sqrt() })
    }

    fn begin_anew(&mut self, window: &[f64; 20]) -> f64 {
        self.left = Self::BARS;
        self.sum_up(window, window.iter().fold(0.0, |sum, close| sum + close) * Self::PART);
        let mut variance = self.variance();
        if variance < Self::LOST * (self.squares * Self::PART) {
            self.sum_up(window, window[19]);
            variance = self.variance();
        }
        self.peak = self.squares;
        if variance < Self::NOTHING * (self.squares * Self::PART) {
            variance = 0.0;
        }
        self.take(window[0]);
        variance
    }

    fn sum_up(&mut self, window: &[f64; 20], shift: f64) {
        (self.shift, self.sum, self.squares) = (shift, 0.0, 0.0);
        window.iter().for_each(|close| self.add(*close));
    }

    fn variance(&self) -> f64 {
        let mean = self.sum * Self::PART;
        self.squares * Self::PART - mean * mean
    }

    fn add(&mut self, close: f64) {
        let distance = close - self.shift;
        self.sum += distance;
        self.squares += distance * distance;
    }

    fn take(&mut self, close: f64) {
        let distance = close - self.shift;
        self.sum -= distance;
        self.squares -= distance * distance;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;
    use proptest::prelude::*;

    /// Up to 1,500 bars: walks, stretches on which nothing moves, leaps, and prices of pennies
    /// next to those of millions.
    fn some_bars() -> impl Strategy<Value = Vec<Bar>> {
        let kind =
            prop_oneof![3 => Just(1_i64), 1 => Just(0), 1 => Just(1000), 1 => Just(100_000_000)];
        let stretch = (kind, 1_usize..300, any::<u64>());
        proptest::collection::vec(stretch, 1..6).prop_map(|stretches| {
            let (mut units, mut bars) = (1_000_000_i64, Vec::new());
            for (step, count, seed) in stretches {
                for number in 0..count as u64 {
                    let mix = (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                        .wrapping_mul(0xd6e8_feb8_6659_fd93)
                        >> 33;
                    units = (units + step * (mix as i64 % 201 - 100)).clamp(1, 1 << 50);
                    let close = units as f64 / 10_000.0;
                    let wide = (mix % 7) as f64 / 100.0;
                    bars.push(Bar {
                        high: close + wide,
                        low: close - (mix % 5) as f64 / 100.0,
                        close,
                        volume: Some((mix % 1000) as f64),
                        vwap: (mix % 3 > 0).then_some(close),
                    });
                }
            }
            bars
        })
    }

    fn values(bars: &[Bar]) -> Vec<BarValues> {
        let mut state = State::default();
        bars.iter().map(|bar| state.push(bar)).collect()
    }

    /// Bits, so that zeros with another sign count, too.
    fn bits(values: &[BarValues]) -> Vec<[Option<u64>; COLUMNS.len()]> {
        values.iter().map(|values| values.map(|value| value.map(f64::to_bits))).collect()
    }

    proptest! {
        #[test]
        fn every_value_of_every_bar_is_ta_libs_to_the_last_bit(bars in some_bars()) {
            let ours = bits(&values(&bars));
            for (column, theirs) in reference::compute(&bars).into_iter().enumerate() {
                for (number, theirs) in theirs.into_iter().enumerate() {
                    let place = format!("{} of bar {number}", COLUMNS[column]);
                    prop_assert_eq!(ours[number][column], theirs.map(f64::to_bits), "{}", place);
                }
            }
        }

        #[test]
        fn a_state_that_was_kept_goes_on_as_if_it_had_never_been_put_aside(bars in some_bars(), cut: prop::sample::Index) {
            let (before, after) = bars.split_at(cut.index(bars.len()));
            let mut state = State::default();
            for bar in before {
                state.push(bar);
            }
            let mut kept = State::from_bytes(&state.to_bytes()).unwrap();
            prop_assert_eq!(&kept, &state);
            let rest: Vec<BarValues> = after.iter().map(|bar| kept.push(bar)).collect();
            prop_assert_eq!(bits(&rest), bits(&values(&bars)[before.len()..]));
        }
    }

    #[test]
    fn what_is_no_state_of_this_version_is_none() {
        let mut state = State::default();
        state.push(&Bar { high: 2.0, low: 1.0, close: 1.5, volume: None, vwap: None });
        let bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&bytes), Some(state));
        for other in
            [&bytes[..bytes.len() - 8], &bytes[1..], &[], &[bytes.clone(), vec![0; 8]].concat()]
        {
            assert_eq!(State::from_bytes(other), None);
        }
    }

    #[test]
    fn on_balance_volume_is_unknown_from_the_first_bar_without_a_volume_on_and_nothing_else_is() {
        let close = |number: usize| 100.0 + number as f64;
        let bar = |number| Bar {
            high: close(number),
            low: close(number),
            close: close(number),
            volume: Some(10.0),
            vwap: None,
        };
        let mut bars: Vec<Bar> = (0..60).map(bar).collect();
        let known = values(&bars);
        bars[30].volume = None;
        let obv = COLUMNS.iter().position(|column| *column == "obv").unwrap();
        for (number, (with, without)) in known.iter().zip(values(&bars)).enumerate() {
            assert_eq!(with[..obv], without[..obv]);
            assert_eq!(without[obv], with[obv].filter(|_| number < 30));
        }
    }
}
