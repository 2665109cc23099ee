//! Members that tell kinds of ticks: where several kinds are ticks, or a row that is no new one,
//! there is a note, with the kind that is a trade where one is.

use super::command_line::quoted;
use super::trial::{Facts, Tried};
use common::decode::Condition;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A member with more values than this tells no kinds.
const KINDS: usize = 8;
/// How many members are named that tell kinds.
const MOST_MEMBERS: usize = 3;

/// Kinds that are meant mostly, in lower case, the surest first.
const MEANT: [&str; 19] = [
    "trade",
    "trades",
    "match",
    "aggtrade",
    "timesale",
    "sale",
    "deal",
    "deals",
    "fill",
    "execution",
    "t",
    "insert",
    "insertion",
    "create",
    "c",
    "i",
    "+i",
    "false",
    // FIX's report of an execution.
    "8",
];
/// Words for sides of trades, and no kinds if they are the only values.
const SIDES: [&str; 2] = ["buy", "sell"];
/// Words for a row that is gone, in lower case.
const DELETED: [&str; 6] = ["d", "-d", "delete", "deleted", "remove", "removed"];
/// Words for a row that is another one, or was one before, if operations are told.
const CHANGED: [&str; 6] = ["u", "+u", "-u", "update", "updated", "update_before"];
/// The kind that feeds begin with: an "update" after it is the next message, and no changed row.
const BEGINNING: &str = "snapshot";

/// Notes about members that tell kinds. `conditions`: those that the flags have already.
pub fn of(conditions: &[Condition], ticks: &[(Facts, &Tried<'_>)]) -> Vec<String> {
    let mut all: BTreeMap<&str, MemberValues<'_>> = BTreeMap::new();
    for (facts, tried) in ticks {
        let mut here: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, value) in &tried.traits.kinds {
            here.entry(name).or_default().insert(value);
        }
        for (name, values) in here {
            all.entry(name).or_default().take(facts.symbol, values);
        }
    }
    let is_asked = |name: &str| {
        let asks = |path: String| name == path || name.ends_with(&format!(".{path}"));
        conditions.iter().any(|condition| asks(condition.path.to_string()))
    };
    let to_say =
        all.into_iter().filter(|(name, values)| !is_asked(name) && values.tells_kinds(name));
    to_say.take(MOST_MEMBERS).map(|(name, values)| values.sentence(name)).collect()
}

/// The values of a member.
#[derive(Default)]
struct MemberValues<'t> {
    /// The number of messages in which it has a value.
    counts: BTreeMap<&'t str, usize>,
    messages: usize,
    /// The values of one message, and those of one symbol.
    together: BTreeSet<BTreeSet<&'t str>>,
    of_symbols: HashMap<u64, BTreeSet<&'t str>>,
}

impl<'t> MemberValues<'t> {
    fn take(&mut self, symbol: u64, values: BTreeSet<&'t str>) {
        self.messages += 1;
        for value in &values {
            *self.counts.entry(*value).or_default() += 1;
        }
        self.of_symbols.entry(symbol).or_default().extend(&values);
        self.together.insert(values);
    }

    /// Whether some of what it says may be no trades.
    fn tells_kinds(&self, name: &str) -> bool {
        let is_side = |value: &str| SIDES.contains(&value.to_ascii_lowercase().as_str());
        let tells_sides = self.counts.keys().all(|value| is_side(value));
        let is_several = (2..=KINDS).contains(&self.counts.len());
        self.has_old_rows(name)
            || (is_several && !tells_sides && !self.tells_nothing() && !self.tells_of_symbols())
    }

    /// Whether each message says the same of it, in objects inside one another.
    fn tells_nothing(&self) -> bool {
        self.messages > 1 && self.together.len() == 1
    }

    /// Whether it is the same in all messages of a symbol, as its exchange or its class are.
    fn tells_of_symbols(&self) -> bool {
        let symbols = self.of_symbols.len();
        let is_one = self.of_symbols.values().all(|values| values.len() == 1);
        symbols > 1 && is_one && self.messages >= 2 * symbols && self.trade().is_none()
    }

    fn has_old_rows(&self, name: &str) -> bool {
        self.counts.keys().any(|value| self.is_old_row(name, value))
    }

    /// Whether it tells of a row that was there before.
    fn is_old_row(&self, name: &str, value: &str) -> bool {
        let own = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let tells_operations = own.contains("op") || own == "action" || own == "rowkind";
        let is_feed = self.counts.keys().any(|value| value.eq_ignore_ascii_case(BEGINNING));
        let value = value.to_ascii_lowercase();
        let is_word = value.len() > 2;
        match own.trim_matches(['_', '"']) {
            own if own.ends_with("deleted") => value == "true",
            _ if tells_operations => {
                let is_changed = CHANGED.contains(&value.as_str()) && !is_feed;
                DELETED.contains(&value.as_str()) || is_changed
            }
            // By a letter feeds tell other things: Alpaca's `d` is the bar of a day.
            _ => is_word && DELETED.contains(&value.as_str()),
        }
    }

    /// The kind that is a trade's by its name.
    fn trade(&self) -> Option<&'t str> {
        let named = |meant: &&str| {
            self.counts.keys().copied().find(|value| value.eq_ignore_ascii_case(meant))
        };
        MEANT.iter().find_map(named)
    }

    /// The values that are meant: the trades, or both their sides, or the value of most messages.
    /// Where none of these is known a person must tell.
    fn meant(&self, name: &str) -> Vec<String> {
        let is_side = |value: &&&str| SIDES.contains(&value.to_ascii_lowercase().as_str());
        let sides: Vec<&str> = self.counts.keys().filter(is_side).copied().collect();
        let is_most = |(value, count): &(&&str, &usize)| {
            **count * 2 > self.messages && !self.is_old_row(name, value)
        };
        let most = self.counts.iter().find(is_most).map(|(value, _)| *value);
        let values = match (self.trade(), sides.len()) {
            (Some(trade), _) => vec![trade],
            (None, 2) => sides,
            _ => vec![most.unwrap_or("VALUE")],
        };
        values.into_iter().map(str::to_owned).collect()
    }

    fn sentence(&self, name: &str) -> String {
        let listed = self.counts.keys().copied().collect::<Vec<_>>().join(", ");
        let why = match self.has_old_rows(name) {
            true => "a row that is changed or deleted is no new trade",
            false => "some may be no trades",
        };
        let values = self.meant(name);
        let example = match name.parse() {
            Ok(path) => Condition { path, values, is_optional: false }.to_string(),
            Err(_) => format!("{name}={}", values.join("|")),
        };
        format!(
            "{name} says {listed}, and all of these are ticks, but {why}: take those that are, as \
             by --where {}",
            quoted(&example)
        )
    }
}
