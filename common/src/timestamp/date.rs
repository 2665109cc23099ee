//! [`Date`]: a day of the proleptic Gregorian calendar.

/// A day that there is.
#[derive(Clone, Copy)]
pub(super) struct Date {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

impl Date {
    /// `None` where the calendar has no such day.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let is_one = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        is_one.then_some(Self { year, month, day })
    }

    pub fn days_from_epoch(self) -> i64 {
        days_from_epoch(self.year, self.month, self.day)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that a
/// leap day is the last of its year (E. Richards, in the Explanatory Supplement to the Astronomical
/// Almanac, 3rd ed., 15.11.3).
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days_before_year =
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_before_month = (153 * month + 2) / 5;
    days_before_year + days_before_month + day - 1 - 719_468
}
