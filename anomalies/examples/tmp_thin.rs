use std::collections::HashSet;
use anomalies::causal::{self};
use anomalies::evaluation::count::Counts;
use anomalies::evaluation::market::*;
use anomalies::evaluation::thin::{self, RIGHT};
use anomalies::random::Random;
use anomalies::{Kind, Place, Tick, hindsight, Calendar};
#[path = "../../workbench/src/simulate/path.rs"]
#[allow(dead_code)]
mod path;

const CENT: i64 = 10_000_000;
/// As the simulator: night/weekend at `pause` minutes, sessions at pause/50.
fn waves(pause: f64, wrong: f64, seed: u64) -> Market {
    let mut random = Random::of(seed ^ 77);
    let path = path::Path::new(random.bits());
    let base = 70.0 * random.normal().exp();
    let mut market = Market::default();
    let mut at = 1_749_200_000.0 / 60.0;
    let begin = at;
    while at < begin + 7.0 * 1440.0 {
        let minute = at % 1440.0; let day = ((at / 1440.0) as i64) % 7;
        let rate = if day < 2 { 1.0 } else if (870.0..1260.0).contains(&minute) { 50.0 } else if (540.0..870.0).contains(&minute) { 4.0 } else { 1.0 };
        at += random.exponential(pause / rate);
        let p = base * path.at((at * 60e6) as i64);
        let step = if p < 10.0 { 100_000 } else { CENT };
        let mut price = ((p * 1e9 / step as f64).round() as i64 + random.below(3) as i64 - 1) * step;
        let place = Place { offset: market.ticks.len() as i64, index: 0 };
        if random.chance(wrong) {
            let by = 0.005 + 0.045 * random.unit();
            let f = if random.chance(0.5) { 1.0 + by } else { 1.0 - by };
            price = (price as f64 * f / step as f64).round() as i64 * step;
            market.wrong.insert(place);
        }
        market.ticks.push(Tick::of(place, (at * 60e9) as i64, price));
    }
    market
}
fn show(name: &str, markets: &[Market]) {
    let to = hindsight::Parameters::default();
    let mut c = Counts::default();
    let mut n = 0;
    for m in markets { n += m.ticks.len(); c.add(&m.wrong, &thin::judge_hours(&m.ticks, &to)); }
    let (mut said, mut hits, mut lates) = (0, 0, 0);
    let to = causal::Parameters::default();
    for m in markets {
        let mut ticks = m.ticks.clone(); ticks.sort_by_key(|t| t.place);
        let (mut s, mut f) = (causal::State::default(), Vec::new());
        let (mut newest, mut late) = (i64::MIN, HashSet::new());
        for t in &ticks { if t.at < newest - 60_000_000_000 { late.insert(t.place); } newest = newest.max(t.at);
            s.observe(t, Some(newest), &to, &Calendar::default(), &mut f); }
        let f: HashSet<Place> = f.iter().filter(|f| f.kind == Kind::Spike).map(|f| f.place).collect();
        said += f.len(); hits += f.intersection(&m.wrong).count(); lates += f.intersection(&late).count();
    }
    println!("{name:<28} {n:7} ticks; hindsight false {:4} missed {:4} of {:4}; causal said {said} ({hits} wrong, {lates} late)", c.false_alarms, c.missed, c.missed + c.hits);
}
fn main() {
    for pause in [0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0] {
        let right: Vec<_> = (0..10).map(|s| thin::draw(&thin::Shape { pause, ..RIGHT }, s)).collect();
        show(&format!("right {pause}"), &right);
        let band = RIGHT.move_of_minute * f64::max(1.0, pause).sqrt();
        let wrong: Vec<_> = (0..10).map(|s| thin::draw(&thin::Shape { pause, wrong: 0.01, wrong_from: 10.0 * band, wrong_until: 20.0 * band, ..RIGHT }, s)).collect();
        show(&format!("wrong {pause}"), &wrong);
        let late: Vec<_> = (0..10).map(|s| thin::draw(&thin::Shape { pause, late: 0.01, ..RIGHT }, s)).collect();
        show(&format!("late {pause}"), &late);
    }
    for pause in [1.0, 3.0, 9.0, 20.0] {
        let m: Vec<_> = (0..20).map(|s| waves(pause, 0.0, s)).collect();
        show(&format!("waves right {pause}"), &m);
        let m: Vec<_> = (0..20).map(|s| waves(pause, 0.01, s)).collect();
        show(&format!("waves wrong {pause}"), &m);
    }
    let to = hindsight::Parameters::default();
    for (name, shape) in [("plain", PLAIN), ("hard", HARD)] {
        for seeds in [0..24_u64, 100..116] {
            for view in [Market::without_conditions as fn(&Market) -> Market, Market::without_quotes, Market::clone] {
                let mut c = Counts::default();
                for s in seeds.clone() { let m = view(&draw(&shape, s));
                    let f = hindsight::judge(&m.ticks, 0..m.ticks.len(), &to).iter().map(|f| f.place).collect();
                    c.add(&m.wrong, &f); }
                println!("{name} {seeds:?} {c:?} f1 {:.4}", c.f1());
            }
        }
    }
}
