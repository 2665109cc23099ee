//! One figure for many: quantiles, rounded as measurements deserve it.

/// The value that a part of them do not exceed, of an even number the upper one in the middle; NaN
/// where there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Three digits are more than such a measurement is worth.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
