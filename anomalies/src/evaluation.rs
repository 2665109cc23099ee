//! Yardsticks: a benchmark's scoring, a market whose faults are known, and counts of what was found
//! of them.

pub mod count;
pub mod hours;
pub mod market;
pub mod nab;
pub mod thin;
