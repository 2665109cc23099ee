//! Guesses at a message's fields, by the names and kinds of its members, for a person to judge.

use super::anatomy::{Leaf, find_leaves, first_element, number, plain_name};
use super::times::{instant, is_date, is_date_alone, is_time_by, is_time_name, is_time_of_day};
use super::traits::is_latest_price;
use common::Timestamp;
use common::decode::{Field, MapEntries, Path, usual_field};
use serde_json::Value;

/// Parts of names that tell a field, where no usual name is there.
const STEMS: [(Field, &[&str]); 3] = [
    (
        Field::Symbol,
        &[
            "symbol",
            "ticker",
            "coin",
            "pair",
            "instrument",
            "stockname",
            "stockcode",
            "security",
            "isin",
        ],
    ),
    (Field::Price, &["price", "rate", "ltp", "lastpx"]),
    (Field::Volume, &["volume", "quantity", "qty", "shares", "lastsize"]),
];
/// Parts of names of other prices, times and volumes.
const OTHERS: [&str; 27] = [
    "change",
    "percent",
    "prev",
    "avg",
    "average",
    "open",
    "high",
    "low",
    "max",
    "min",
    "bid",
    "ask",
    "target",
    "24h",
    "volumeusd",
    "expir",
    "limit",
    "close",
    "extended",
    "delayed",
    "listing",
    "issue",
    "strike",
    "stop",
    "cents",
    "pence",
    "scale",
];
/// Parts of names of times at which a message was passed on: others go before them.
const PASSED_ON: [&str; 5] = ["recv", "receiv", "ingest", "publish", "sent"];
/// How little of a guess the code of an instrument is.
const CODE: u8 = 7;
/// How little of a guess a time by its record's is: more than any by its name.
const CLOSE: u8 = 9;
/// Short names, the likelier first.
const LETTERS: [(Field, &[&str]); 4] = [
    (Field::Symbol, &["s", "S", "instId"]),
    (Field::Timestamp, &["T", "t", "E", "s"]),
    (Field::Price, &["p", "px"]),
    (Field::Volume, &["v", "q", "sz", "s"]),
];
/// Short names of a bar's prices.
const BAR: [(Field, &str); 4] =
    [(Field::Open, "o"), (Field::High, "h"), (Field::Low, "l"), (Field::Close, "c")];

/// The guesses for a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guess {
    /// The fields that have no usual name, each with its likeliest place.
    pub entries: Option<MapEntries>,
    /// Fields that may be one of two members, which a person must decide.
    pub doubts: Vec<String>,
}

/// Guesses at an element of a message that was sent at `record_time`, to which `way` leads, and at
/// symbol and time around it.
pub fn guess(message: &Value, way: Option<&Path>, record_time: Option<Timestamp>) -> Guess {
    let Some((element, around)) = first_element(message, way) else {
        return Guess::default();
    };
    let own = find_leaves(element);
    let outer: Vec<Leaf<'_>> = around.into_iter().flat_map(find_leaves).collect();
    // A mark price is nobody's trade, and its `T` is the time of the next funding.
    if own.iter().any(|leaf| leaf.path == ["e"] && *leaf.value == "markPriceUpdate") {
        return Guess::default();
    }
    let mut found =
        Finder { own: &own, outer: &outer, record_time, guess: Vec::new(), doubts: Vec::new() };
    found.all();
    let Finder { guess, doubts, .. } = found;
    let entries: Vec<_> =
        guess.into_iter().filter_map(|(field, path)| Some((field, Path::new(&path)?))).collect();
    Guess { entries: (!entries.is_empty()).then_some(MapEntries::of_members(entries)), doubts }
}

struct Finder<'l, 'a> {
    own: &'l [Leaf<'a>],
    /// Leaves outside of the object, for symbol and time alone.
    outer: &'l [Leaf<'a>],
    record_time: Option<Timestamp>,
    guess: Vec<(Field, Vec<&'a str>)>,
    doubts: Vec<String>,
}

impl<'l, 'a> Finder<'l, 'a> {
    fn all(&mut self) {
        self.field(Field::Symbol);
        match self.prices() {
            Prices::Bar => BAR.iter().for_each(|(field, _)| self.field(*field)),
            Prices::Letters(bar) => self.guess.extend(bar),
            Prices::Quote(latest) => self.guess.push((Field::Price, latest)),
            Prices::Trade => self.field(Field::Price),
        }
        match self.size_of_the_sale() {
            Some(path) => self.guess.push((Field::Volume, path)),
            None if self.is_ticker_of_a_day() => {}
            None => self.field(Field::Volume),
        }
        self.time();
    }

    /// Notes a field's path, if it is not looked for there anyway.
    fn field(&mut self, field: Field) {
        let Some(leaf) = self.likeliest(field) else {
            return;
        };
        let is_found_anyway = only_usual(field, self.own)
            .is_some_and(|usual| std::ptr::eq(usual, leaf))
            || (!self.own.iter().any(|own| std::ptr::eq(own, leaf))
                && only_usual(field, self.outer).is_some_and(|usual| std::ptr::eq(usual, leaf)));
        if !is_found_anyway {
            self.guess.push((field, leaf.path.clone()));
        }
    }

    /// Beside `lastSalePrice` that is `lastSaleSize`: a `volume` there is that of the day.
    fn size_of_the_sale(&self) -> Option<Vec<&'a str>> {
        let (_, price) = self.guess.iter().find(|(field, _)| *field == Field::Price)?;
        let name = plain_name(price.last()?);
        let of = match name.strip_suffix("price") {
            Some(of) => of.to_owned(),
            None if name == "last" => name,
            None => return None,
        };
        let is_size = |leaf: &&Leaf<'_>| {
            let size = plain_name(leaf.name()).strip_prefix(&of).map(str::to_owned);
            size.is_some_and(|size| ["size", "qty", "quantity", "volume"].contains(&size.as_str()))
        };
        let leaf = self.own.iter().filter(is_size).find(|leaf| fits(Field::Volume, leaf))?;
        (!of.is_empty()).then(|| leaf.path.clone())
    }

    /// A date and a time of day in two members are one time.
    fn time(&mut self) {
        let whole = |leaf: &&Leaf<'_>| !is_date_alone(leaf.value) && fits(Field::Timestamp, leaf);
        let is_named = |leaf: &&Leaf<'_>| rank(Field::Timestamp, leaf.name()).is_some();
        let has_whole = self.own.iter().filter(is_named).any(|leaf| whole(&leaf));
        let date = self.own.iter().filter(is_named).find(|leaf| is_date_alone(leaf.value));
        let clock = self.own.iter().find(|leaf| is_time_of_day(leaf));
        match (date, clock) {
            (Some(date), Some(clock)) if !has_whole => {
                self.guess.push((Field::Timestamp, date.path.clone()));
                self.guess.push((Field::TimeOfDay, clock.path.clone()));
            }
            _ => self.field(Field::Timestamp),
        }
    }

    fn top(&self, name: &str) -> Option<&'l Leaf<'a>> {
        self.own.iter().find(|leaf| leaf.path == [name])
    }

    /// Binance's 24hrTicker: `p` is the change, `c` the last price, and `v` the volume of a day.
    fn is_ticker_of_a_day(&self) -> bool {
        ["p", "P", "w", "c"].iter().all(|name| self.top(name).is_some())
    }

    fn prices(&mut self) -> Prices<'a> {
        let is_latest = |leaf: &&Leaf<'_>| fits(Field::Price, leaf) && is_latest_price(leaf.name());
        if self.has_unset_bar()
            && let Some(price) = self.likeliest(Field::Price)
        {
            return Prices::Quote(price.path.clone());
        }
        let named = |field| self.likeliest_without_note(field);
        if named(Field::Open).or(named(Field::Price)).is_none()
            && !self.is_quote()
            && let Some(close) = named(Field::Close)
        {
            return Prices::Quote(close.path.clone());
        }
        if named(Field::Open).is_some() && named(Field::Close).is_some() {
            // Beside the latest price they are those of the day.
            if !self.own.iter().any(|leaf| is_latest(&leaf)) {
                return Prices::Bar;
            }
            let latest = self.likeliest(Field::Price);
            return latest.map_or(Prices::Trade, |leaf| Prices::Quote(leaf.path.clone()));
        }
        if named(Field::Price).is_some_and(|leaf| leaf.name() != "p") {
            return Prices::Trade;
        }
        let letter = |name: &'static str| self.top(name).filter(|leaf| fits(Field::Price, leaf));
        let close = letter("c").map(|leaf| leaf.path.clone());
        let is_bar = BAR.iter().all(|(_, name)| letter(name).is_some()) && self.top("p").is_none();
        let is_quote = self.is_ticker_of_a_day() || self.top("pc").is_some();
        match (close, is_bar && !is_quote) {
            (Some(_), true) => {
                let bar = BAR
                    .iter()
                    .filter_map(|(field, name)| Some((*field, letter(name)?.path.clone())));
                Prices::Letters(bar.collect())
            }
            (Some(close), false) if is_quote => Prices::Letters(vec![(Field::Price, close)]),
            _ => Prices::Trade,
        }
    }

    /// Whether it offers and asks: a close in it is that of another day.
    fn is_quote(&self) -> bool {
        self.own
            .iter()
            .any(|leaf| matches!(usual_field(leaf.name()), Some(Field::Bid | Field::Ask)))
    }

    /// Whether open and close are there, and one of them is zero, as before the opening.
    fn has_unset_bar(&self) -> bool {
        let number_of = |field: Field| {
            let is_one =
                |leaf: &&Leaf<'_>| leaf.path.len() == 1 && usual_field(leaf.path[0]) == Some(field);
            self.own.iter().filter(is_one).find_map(|leaf| number(leaf.value))
        };
        let both = number_of(Field::Open).zip(number_of(Field::Close));
        both.is_some_and(|(open, close)| open == 0.0 || close == 0.0)
    }

    /// The member that fits best: by a usual name before a part of one, and the outer before the
    /// inner. None where two fit as well as one another, which is number_of.
    fn likeliest(&mut self, field: Field) -> Option<&'l Leaf<'a>> {
        let ranked = self.ranked(field);
        if let [(best, one), (next, other), ..] = ranked.as_slice()
            && best == next
        {
            if field == Field::Timestamp
                && let Some(finer) = finer(one, other)
            {
                return Some(finer);
            }
            self.doubt(field, one, other);
            return None;
        }
        ranked.first().map(|(_, leaf)| *leaf)
    }

    fn likeliest_without_note(&self, field: Field) -> Option<&'l Leaf<'a>> {
        self.ranked(field).first().map(|(_, leaf)| *leaf)
    }

    /// The best first.
    fn ranked(&self, field: Field) -> Vec<((u8, usize), &'l Leaf<'a>)> {
        let of = |all: &'l [Leaf<'a>]| {
            let fitting = all.iter().filter(|leaf| fits(field, leaf));
            let ranked =
                fitting.filter_map(|leaf| Some(((self.rank(field, leaf)?, leaf.path.len()), leaf)));
            let mut ranked: Vec<_> = ranked.collect();
            ranked.sort_by_key(|(rank, _)| *rank);
            ranked
        };
        let mut own = of(self.own);
        if field == Field::Timestamp {
            self.prefer_beside_the_price(&mut own);
        }
        match own.is_empty() && matches!(field, Field::Symbol | Field::Timestamp) {
            true => of(self.outer),
            false => own,
        }
    }

    /// By its name, for a code in an object that is called as a symbol is, or for a time that is
    /// close to the record's.
    fn rank(&self, field: Field, leaf: &Leaf<'_>) -> Option<u8> {
        let is_code = || field == Field::Symbol && is_code_of_a_symbol(leaf);
        let is_time = || field == Field::Timestamp && is_time_by(self.record_time, leaf);
        rank(field, leaf.name())
            .or_else(|| is_code().then_some(CODE))
            .or_else(|| is_time().then_some(CLOSE))
    }

    /// If an object that has the price has a whole time, none outside of it is taken.
    fn prefer_beside_the_price(&self, times: &mut Vec<((u8, usize), &'l Leaf<'a>)>) {
        let price =
            self.guess.iter().find(|(field, _)| matches!(field, Field::Price | Field::Close));
        let around = price.and_then(|(_, path)| path.split_last()).map_or(&[][..], |at| at.1);
        if around.is_empty() {
            return;
        }
        let is_beside = |(_, leaf): &((u8, usize), &Leaf<'_>)| {
            leaf.path.starts_with(around) && !is_date_alone(leaf.value)
        };
        if times.iter().any(is_beside) {
            times.retain(is_beside);
        }
    }

    fn doubt(&mut self, field: Field, one: &Leaf<'_>, other: &Leaf<'_>) {
        if let (Some(one), Some(other)) = (Path::new(&one.path), Path::new(&other.path)) {
            let doubt =
                format!("{field} may be {one} or {other}: say which with --map {field}={one}");
            if !self.doubts.contains(&doubt) {
                self.doubts.push(doubt);
            }
        }
    }
}

/// The finer one is taken of `create_time` and `create_time_ms`, which are one time.
fn finer<'l, 'a>(one: &'l Leaf<'a>, other: &'l Leaf<'a>) -> Option<&'l Leaf<'a>> {
    let is_finer = |one: &Leaf<'_>, other: &Leaf<'_>| {
        let (fine, coarse) = (plain_name(one.name()), plain_name(other.name()));
        let unit = fine.strip_prefix(&coarse).unwrap_or_default();
        let is_unit = ["ms", "us", "ns", "millis", "micros", "nanos"].contains(&unit);
        is_unit && one.path.split_last().map(|at| at.1) == other.path.split_last().map(|at| at.1)
    };
    match (is_finer(one, other), is_finer(other, one)) {
        (true, _) => Some(one),
        (_, true) => Some(other),
        _ => None,
    }
}

enum Prices<'a> {
    /// A bar, by its names.
    Bar,
    /// Values whose names are letters.
    Letters(Vec<(Field, Vec<&'a str>)>),
    /// Beside the open and the close of a day.
    Quote(Vec<&'a str>),
    Trade,
}

/// The one member at the top that has a usual name of the field.
fn only_usual<'l, 'a>(field: Field, leaves: &'l [Leaf<'a>]) -> Option<&'l Leaf<'a>> {
    let at_top = || leaves.iter().filter(|leaf| leaf.path.len() == 1);
    let own = at_top().find(|leaf| leaf.path == [field.as_str()]);
    let mut usual = at_top().filter(|leaf| usual_field(leaf.path[0]) == Some(field));
    own.or_else(|| usual.next().filter(|_| usual.next().is_none()))
}

/// How little of a guess a name is: its field's own, one of the usual ones, a part of one, a
/// letter.
fn rank(field: Field, name: &str) -> Option<u8> {
    if name == field.as_str() {
        return Some(0);
    }
    if usual_field(name) == Some(field) {
        return Some(1);
    }
    let letters =
        LETTERS.into_iter().find(|(of, _)| *of == field).map_or(&[][..], |(_, letters)| letters);
    if let Some(at) =
        (3..).zip(letters).find_map(|(rank, letter)| (*letter == name).then_some(rank))
    {
        return Some(at);
    }
    let plain = plain_name(name);
    let has = |parts: &[&str]| parts.iter().any(|part| plain.contains(part));
    let is_part = match field {
        Field::Timestamp => is_time_name(&Leaf { path: vec![name], value: &Value::Null }),
        _ => has(STEMS.into_iter().find(|(of, _)| *of == field)?.1) && !has(&OTHERS),
    };
    let is_passed_on = field == Field::Timestamp && has(&PASSED_ON);
    is_part.then_some(if is_passed_on { 8 } else { 2 })
}

fn is_code_of_a_symbol(leaf: &Leaf<'_>) -> bool {
    let [.., object, name] = leaf.path.as_slice() else {
        return false;
    };
    plain_name(name) == "code" && rank(Field::Symbol, object).is_some()
}

/// Whether the value is of the field's kind.
fn fits(field: Field, leaf: &Leaf<'_>) -> bool {
    let number = match leaf.value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let text = leaf.value.as_str().unwrap_or_default();
    let is_letter = leaf.name().len() == 1;
    let is_one = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match field {
        Field::Symbol => {
            let is_side = (is_letter && is_one(&["buy", "sell", "bid", "ask"]))
                || (leaf.name() == "S" && is_one(&["b", "s"]));
            number.is_none() && (1..=64).contains(&text.len()) && !is_date(text) && !is_side
        }
        // Massive's bars begin at `s`; elsewhere that is a size.
        Field::Timestamp if leaf.name() == "s" => {
            number.is_some_and(|number| number > 1e11) && instant(leaf.value).is_some()
        }
        // Later than 1973 in seconds; of a letter later than 1990.
        Field::Timestamp if is_letter => is_date(text) || instant(leaf.value).is_some(),
        Field::Timestamp => number.map_or_else(|| is_date(text), |number| number > 1e8),
        Field::Volume => {
            number.is_some_and(|number| number >= 0.0 && !(leaf.name() == "s" && number > 1e11))
        }
        _ => number.is_some_and(|number| number != 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::anatomy::parse;
    use super::*;

    fn guessed(message: &str) -> Option<String> {
        guess(&parse(message.as_bytes())?, None, None).entries.map(|entries| entries.to_string())
    }

    #[test]
    fn fields_inside_of_objects_are_found_by_their_usual_names() {
        let message = r#"{"type":"t","data":{"symbol":"A","price":"1.5","priceChange":2,"size":3,"ts":1749218401}}"#;
        let expected = "symbol=data.symbol,price=data.price,volume=data.size,timestamp=data.ts";
        assert_eq!(guessed(message).as_deref(), Some(expected));
        let bar = r#"{"symbol":"A","bar":{"open":1,"high":2,"low":1,"close":2,"vol.":5},"time":1749218401}"#;
        let expected = "open=bar.open,high=bar.high,low=bar.low,close=bar.close";
        assert_eq!(guessed(bar).as_deref(), Some(expected));
    }

    #[test]
    fn a_part_of_a_name_tells_where_the_whole_is_not_known() {
        let message = r#"{"coinName":"BTC","currentPrice":5,"prevPrice":4,"tradedVolume":1,"time_ms":1749218401123}"#;
        let expected = "symbol=coinName,price=currentPrice,volume=tradedVolume,timestamp=time_ms";
        assert_eq!(guessed(message).as_deref(), Some(expected));
    }

    #[test]
    fn of_two_that_fit_as_well_none_is_chosen_and_both_are_said() {
        for (message, doubt) in [
            (
                r#"{"symbol":"A","last":1.5,"last_price":2,"ts":1749218401}"#,
                "price may be last or last_price",
            ),
            (
                r#"{"symbol":"A","price":1,"exchangeTime":1749218401123,"systemTime":1749218401124}"#,
                "timestamp may be exchangeTime or systemTime",
            ),
            (
                r#"{"symbol":"A","price":1,"createdAt":1749218401123,"executedAt":1749218401124}"#,
                "timestamp may be createdAt or executedAt",
            ),
        ] {
            let guess = guess(&parse(message.as_bytes()).unwrap(), None, None);
            assert_eq!(guess.entries, None, "{message}");
            assert!(
                guess.doubts.len() == 1 && guess.doubts[0].starts_with(doubt),
                "{:?}",
                guess.doubts
            );
        }
    }

    #[test]
    fn a_limit_and_a_listing_are_no_price_and_no_time() {
        assert_eq!(
            guessed(r#"{"symbol":"A","mark":201.5,"limitPrice":300,"ts":1749218401}"#),
            None
        );
        let message =
            r#"{"symbol":"A","price":1,"listingDate":"2001-01-01","updated":1749218401123}"#;
        assert_eq!(guessed(message).as_deref(), Some("timestamp=updated"));
        let quote = r#"{"symbol":"A","open":200,"close":201,"closeTime":1749131200000,"latestPrice":202.5,
            "latestUpdate":1749218401123,"latestVolume":5}"#;
        let expected = "price=latestPrice,volume=latestVolume,timestamp=latestUpdate";
        assert_eq!(guessed(quote).as_deref(), Some(expected));
        let sale = r#"{"symbol":"A","lastSalePrice":1.5,"lastSaleSize":205,"lastSaleTime":1749218401123,"volume":177265}"#;
        let expected = "price=lastSalePrice,volume=lastSaleSize,timestamp=lastSaleTime";
        assert_eq!(guessed(sale).as_deref(), Some(expected));
        let mark = r#"{"e":"markPriceUpdate","E":1749218401125,"s":"BTCUSDT","p":"11794.15","T":1749225600000}"#;
        assert_eq!(guessed(mark), None);
    }

    #[test]
    fn single_letters_are_a_trade_a_bar_or_the_ticker_of_a_day() {
        for (message, expected) in [
            (r#"{"s":"A","p":1,"q":2,"t":1749218401123}"#, "symbol=s,price=p,volume=q,timestamp=t"),
            (
                r#"{"symbol":"A","o":1,"h":2,"l":1,"c":2,"v":5,"t":1749218401123}"#,
                "open=o,high=h,low=l,close=c,volume=v,timestamp=t",
            ),
            (
                r#"{"c":203.5,"d":0.2,"dp":0.1,"h":204,"l":203,"o":203,"pc":203,"t":1749218402,"ticker":"A"}"#,
                "price=c,timestamp=t",
            ),
            (
                r#"{"e":"24hrTicker","E":1749218401125,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","c":"0.0025",
                    "Q":"10","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"}"#,
                "symbol=s,price=c,timestamp=E",
            ),
            (
                r#"{"T":1749218401486,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50"}"#,
                "symbol=s,price=p,volume=v,timestamp=T",
            ),
        ] {
            assert_eq!(guessed(message).as_deref(), Some(expected), "{message}");
        }
    }

    #[test]
    fn a_date_and_a_time_of_day_are_put_together() {
        let message = r#"{"symbol":"A","date":"2025-06-06","time":"10:00:01","price":1}"#;
        assert_eq!(guessed(message).as_deref(), Some("timestamp=date,time_of_day=time"));
        let bar = r#"{"date":"2025-06-06","minute":"09:30","open":1,"high":2,"low":1,"close":2,"volume":5}"#;
        assert_eq!(guessed(bar).as_deref(), Some("timestamp=date,time_of_day=minute"));
    }

    #[test]
    fn symbol_and_time_may_stand_around_an_element() {
        let message =
            parse(br#"{"instrument":"A","ts":1749218401,"rows":[{"px":"1.5","sz":"2"}]}"#).unwrap();
        let guess = guess(&message, "rows".parse().ok().as_ref(), None);
        assert_eq!(guess.entries.unwrap().to_string(), "symbol=instrument,price=px,volume=sz");
    }

    #[test]
    fn a_time_without_a_name_is_the_one_that_is_close_to_its_record() {
        let sent = Some(Timestamp::from_micros(1_749_218_405_000_000));
        let guessed = |message: &str| {
            let guess = guess(&parse(message.as_bytes()).unwrap(), None, sent);
            guess.entries.map(|entries| entries.to_string())
        };
        for (message, expected) in [
            (r#"{"symbol":"A","price":1,"tm":1749218401123}"#, "timestamp=tm"),
            (
                r#"{"symbol":"A","price":1,"meta":{"received":"2025-06-06T14:00:01Z"}}"#,
                "timestamp=meta.received",
            ),
            (
                r#"{"symbol":"A","price":1,"ts":{"seconds":1749218401,"nanos":5}}"#,
                "timestamp=ts.seconds",
            ),
        ] {
            assert_eq!(guessed(message).as_deref(), Some(expected));
        }
        for other in ["1649218401123", "\"2025-06-06\"", "5"] {
            let message = format!(r#"{{"symbol":"A","price":1,"tm":{other}}}"#);
            assert_eq!(guessed(&message), None, "{other}");
        }
    }

    #[test]
    fn a_price_beside_an_open_or_close_of_zero_is_the_price() {
        for (message, expected) in [
            (r#"{"symbol":"A","last":5.5,"open":0,"close":0,"ts":1749218401}"#, "price=last"),
            (r#"{"symbol":"A","price":5.5,"open":0,"close":4,"ts":1749218401}"#, "price=price"),
        ] {
            assert_eq!(guessed(message).as_deref(), Some(expected));
        }
        assert_eq!(guessed(r#"{"symbol":"A","price":5.5,"open":0,"ts":1749218401}"#), None);
    }

    #[test]
    fn a_close_alone_is_the_price() {
        let message = r#"{"symbol":"A","date":"2025-06-06T14:00:01Z","Close":80.71,"Volume":5}"#;
        assert_eq!(guessed(message).as_deref(), Some("price=Close"));
        let quote = r#"{"symbol":"A","bid":80,"ask":81,"close":80.71,"ts":1749218401}"#;
        assert_eq!(guessed(quote), None);
    }

    #[test]
    fn values_by_avro_s_json_have_the_names_of_what_is_around_them() {
        let message =
            r#"{"symbol":{"string":"A"},"price":{"double":5.5},"ts":{"long":1749218401}}"#;
        let expected = "symbol=symbol.string,price=price.double,timestamp=ts.long";
        assert_eq!(guessed(message).as_deref(), Some(expected));
    }

    #[test]
    fn the_side_of_a_trade_is_no_symbol() {
        let message = parse(
            br#"{"instrument_name":"BTCUSD-PERP","data":[{"d":"1","t":1749218401123,"q":"0.1","p":"5","s":"SELL"}]}"#,
        );
        let guess = guess(&message.unwrap(), "data".parse().ok().as_ref(), None);
        let expected = "symbol=instrument_name,price=p,volume=q,timestamp=t";
        assert_eq!(guess.entries.unwrap().to_string(), expected);
    }

    #[test]
    fn the_row_before_a_change_is_never_guessed_at() {
        assert_eq!(
            guessed(r#"{"before":{"symbol":"A","price":1,"ts":1749218401},"after":null,"op":"d"}"#),
            None
        );
    }

    #[test]
    fn what_is_found_without_a_flag_or_nowhere_is_not_mapped() {
        for message in [
            r#"{"symbol":"A","price":1,"qty":2,"ts":1749218401}"#,
            r#"{"a":1,"b":"x"}"#,
            r#"{"symbol":5,"price":"high","timestamp":"yesterday"}"#,
            "[]",
            "x",
        ] {
            assert_eq!(guessed(message), None, "{message}");
        }
    }
}
