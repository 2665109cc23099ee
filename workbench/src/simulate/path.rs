//! A price as a function of time: the same moment has the same price whenever it is asked for, so
//! that a tick that comes late has the price of its own time.

const MICROS: f64 = 1e-6;
/// The shortest and the longest wave, in seconds as powers of two: four seconds and twelve days.
const WAVES: std::ops::RangeInclusive<u32> = 2..=20;
/// Of a price, over a second. A year of such seconds, a quarter of them in sessions, has moved by
/// some 30 %.
const SECOND: f64 = 6e-5;

/// Waves of noise whose heights grow with the root of their lengths, as a random walk's moves do,
/// and which come back: however long it goes on, the price stays in sight of its base.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    seed: u64,
}

impl Path {
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The price at `micros` of the epoch, as a multiple of the base.
    pub fn at(&self, micros: i64) -> f64 {
        let seconds = micros as f64 * MICROS;
        let height = |wave: u32| f64::from(1_u32 << wave).sqrt() * SECOND;
        WAVES
            .map(|wave| height(wave) * self.noise(wave, seconds / f64::from(1_u32 << wave)))
            .sum::<f64>()
            .exp()
    }

    /// Random numbers in [-1, 1) at whole places, and straight lines between.
    fn noise(self, wave: u32, place: f64) -> f64 {
        let before = place.floor();
        let (a, b) = (self.random(wave, before as i64), self.random(wave, before as i64 + 1));
        (b - a).mul_add(place - before, a)
    }

    fn random(self, wave: u32, place: i64) -> f64 {
        let mixed = mix(mix(self.seed ^ u64::from(wave)) ^ place.cast_unsigned());
        (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_749_200_000_000_000;

    /// The mean move over `seconds`, as a part of the price.
    fn move_over(seconds: i64) -> f64 {
        let moves = (0..4_000_u64).map(|number| {
            let (path, at) = (Path::new(mix(number)), START + number.cast_signed() * 7_919_000_000);
            (path.at(at + seconds * 1_000_000) / path.at(at)).ln().powi(2)
        });
        (moves.sum::<f64>() / 4_000.0).sqrt()
    }

    #[test]
    fn a_move_grows_with_the_root_of_the_time_and_a_day_is_of_a_few_percent() {
        let (minute, hour, day) = (move_over(60), move_over(3_600), move_over(86_400));
        assert!((0.000_3..0.001).contains(&minute), "{minute}");
        let growth = hour / minute;
        assert!((5.5..10.5).contains(&growth), "{growth}");
        assert!((0.01..0.04).contains(&day), "{day}");
    }

    #[test]
    fn a_price_stays_in_sight_of_its_base() {
        let path = Path::new(7);
        let prices = (0..20_000).map(|hour| path.at(START + hour * 3_600_000_000));
        assert!(prices.into_iter().all(|price| (0.7..1.4).contains(&price)));
    }
}
