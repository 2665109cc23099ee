//! The names that most producers use.

use super::field::Field;

/// The usual names of each field, written without `_`, `-` and blanks, and in lower case.
/// docs/message-format.md has the list.
const OTHER_NAMES: [(Field, &[&str]); 11] = [
    (
        Field::Symbol,
        &["symbol", "ticker", "tickersymbol", "stocksymbol", "sym", "productid", "index"],
    ),
    (
        Field::Timestamp,
        &[
            "timestamp",
            "ts",
            "time",
            "datetime",
            "date",
            "eventtime",
            "tradetime",
            "tradets",
            "lasttradedatetime",
        ],
    ),
    (Field::Price, &["price", "last", "lastprice", "tradeprice", "lasttradeprice", "stockprice"]),
    (Field::Open, &["open", "openprice"]),
    (Field::High, &["high", "highprice", "highestprice"]),
    (Field::Low, &["low", "lowprice", "lowestprice"]),
    (Field::Close, &["close", "closeprice"]),
    (Field::Volume, &["volume", "vol", "size", "qty", "quantity", "amount", "lastsize", "shares"]),
    (Field::Bid, &["bid", "bidprice", "bestbid", "bestbidprice"]),
    (Field::Ask, &["ask", "askprice", "bestask", "bestaskprice"]),
    (Field::Conditions, &["conditions", "saleconditions", "tradeconditions"]),
];

/// The longest of these names.
const LONGEST: usize = 17;

/// The field that has this name, or one that many producers use for it.
#[must_use]
pub fn usual_field(name: &str) -> Option<Field> {
    default_field(name).map(|(field, _)| field)
}

/// The field that a member of this name is taken for where nothing was said, and 0 for the field's
/// own name, which goes before the others (1).
pub(crate) fn default_field(name: &str) -> Option<(Field, u8)> {
    if let Some(field) = Field::ALL.into_iter().find(|field| field.as_str() == name) {
        return (!field.is_mapped_alone()).then_some((field, 0));
    }
    let (mut buffer, mut len) = ([0; LONGEST], 0);
    for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ')) {
        *buffer.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    let name = &buffer[..len];
    let is_one = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
    OTHER_NAMES.into_iter().find(|(_, names)| is_one(names)).map(|(field, _)| (field, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_many_producers_are_known() {
        for (name, expected) in [
            ("symbol", Some((Field::Symbol, 0))),
            ("Symbol", Some((Field::Symbol, 1))),
            ("StockSymbol", Some((Field::Symbol, 1))),
            ("product_id", Some((Field::Symbol, 1))),
            ("LastTradeDateTime", Some((Field::Timestamp, 1))),
            ("event time", Some((Field::Timestamp, 1))),
            ("openPrice", Some((Field::Open, 1))),
            ("last-size", Some((Field::Volume, 1))),
            ("best_bid", Some((Field::Bid, 1))),
            ("saleConditions", Some((Field::Conditions, 1))),
            // Coinbase's counts messages of all kinds: its trades have holes.
            ("sequence", None),
            ("Adj Close", None),
            ("s", None),
            ("day_high", None),
            ("", None),
            ("__-  ", None),
            ("volume_of_the_whole_trading_day", None),
        ] {
            assert_eq!(default_field(name), expected, "{name}");
        }
    }

    #[test]
    fn the_manual_has_these_names_and_no_others() {
        let manual = include_str!("../../../../docs/message-format.md");
        let (_, below) = manual.split_once("\n| field | other names |\n").unwrap();
        let mut listed = Vec::new();
        for row in below.lines().skip(1).take_while(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
            for name in cells[1].split([',', ';']).map(str::trim) {
                let field = usual_field(name).map(|field| format!("`{field}`"));
                assert!(field.is_some_and(|field| cells[0].contains(&field)), "{name}");
                listed.push(name.replace('_', ""));
            }
        }
        listed.sort_unstable();
        let all = OTHER_NAMES.iter().flat_map(|(_, names)| names.iter().copied());
        let is_own = |name: &&str| Field::ALL.iter().any(|field| field.as_str() == *name);
        let mut known: Vec<&str> = all.filter(|name| !is_own(name)).collect();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn each_name_stands_once_and_is_short_enough() {
        let mut all: Vec<&str> =
            OTHER_NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(all.iter().map(|name| name.len()).max(), Some(LONGEST));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
