//! Which arrays hold what somebody offers or asks, and no trades: order books, quotes and orders,
//! by their names and by what their messages say of themselves.

use super::anatomy::{Members, find_leaves, first_element, first_object, plain_name};
use common::decode::Path;
use serde_json::Value;

/// Names of such arrays, and of the objects around them, as letters and digits in lower case.
const NAMES: [&str; 10] =
    ["level", "levels", "bbo", "nbbo", "l1", "l2", "l3", "book", "order", "orders"];
/// Parts of such names, and of what a message says of its kind.
const PARTS: [&str; 6] = ["orderbook", "quote", "depth", "level2", "pricelevel", "booklevel"];
/// Ends of such names.
const ENDS: [&str; 5] = ["bids", "levels", "book", "books", "orders"];
/// Beginnings of names of one side of a book.
const SIDES: [&str; 5] = ["bid", "ask", "offer", "buy", "sell"];
/// Parts of names of what was executed.
const TRADES: [&str; 6] = ["trade", "execution", "fill", "deal", "sale", "match"];
/// Members by which a message says of which kind it is, and kinds that are no trades.
const KINDS: [&str; 16] = [
    "channel",
    "type",
    "event",
    "eventtype",
    "e",
    "ev",
    "ch",
    "table",
    "topic",
    "stream",
    "subject",
    "kind",
    "feed",
    "msgtype",
    "messagetype",
    "service",
];
const BOOKS: [&str; 15] = [
    "book",
    "books",
    "l2",
    "l3",
    "bbo",
    "books5",
    "l2data",
    "l2update",
    "l2updates",
    "bookticker",
    "markprice",
    "markpriceupdate",
    "order",
    "orders",
    "openorders",
];
/// Beginnings and ends of kinds that are orders, and not "orderly".
const OF_ORDERS: [&str; 5] = ["orderupdate", "orders", "byorder", "level3", "mbo"];
/// Members that a level of a book has, and a trade has not.
const OF_LEVELS: [&str; 4] = ["pricelevel", "newquantity", "newqty", "liquidity"];

/// Whether the way leads to levels of a book, to quotes or to orders.
pub fn is_book(message: &Value, way: &Path) -> bool {
    let names: Vec<String> = way.names().iter().map(|name| plain_name(name)).collect();
    if names.iter().any(|name| is_named(name)) {
        return true;
    }
    let last = names.last().map(String::as_str).unwrap_or_default();
    first_element(message, Some(way)).is_some_and(|(element, around)| {
        is_level(element)
            || around.first().is_some_and(|beside| is_other_side(last, element, beside))
            || (!is_of_trades(last) && (says_book(element) || around.into_iter().any(says_book)))
    })
}

/// The member by which a message says that it is a book, quotes or orders, where it has no array of
/// trades as well.
pub fn book_member(message: &Members) -> Option<String> {
    let has_trades =
        message.iter().any(|(name, value)| value.is_array() && is_of_trades(&plain_name(name)));
    if has_trades {
        return None;
    }
    said_book(message).or_else(|| is_flat_level(message).then(|| "level".to_owned()))
}

fn is_named(name: &str) -> bool {
    NAMES.contains(&name)
        || PARTS.iter().any(|part| name.contains(part))
        || ENDS.iter().any(|end| name.ends_with(end))
        || is_side(name)
}

fn is_side(name: &str) -> bool {
    SIDES.iter().any(|side| name.starts_with(side)) && !is_of_trades(name)
}

fn is_of_trades(name: &str) -> bool {
    TRADES.iter().any(|part| name.contains(part))
}

fn is_level(element: &Members) -> bool {
    is_flat_level(element)
        || element.keys().any(|name| OF_LEVELS.contains(&plain_name(name).as_str()))
}

/// `"side":"bid","level":3`
fn is_flat_level(element: &Members) -> bool {
    element.contains_key("side") && element.get("level").is_some_and(Value::is_number)
}

/// Beside one side of a book alone an array with the same members is the other, whatever its name.
fn is_other_side(name: &str, element: &Members, beside: &Members) -> bool {
    let is_one = |(name, value): &(&String, &Value)| value.is_array() && is_side(&plain_name(name));
    let sides: Vec<_> = beside.iter().filter(is_one).collect();
    let is_alike =
        |side: &Value| first_object(side).is_some_and(|side| side.keys().eq(element.keys()));
    matches!(sides.as_slice(), [(_, side)] if is_alike(side)) && !is_of_trades(name)
}

fn says_book(object: &Members) -> bool {
    said_book(object).is_some()
}

/// `"channel":"l2_data"`, `"topic":"orderbook.1.BTCUSDT"`, `"arg":{"channel":"books5"}`.
fn said_book(object: &Members) -> Option<String> {
    let all = find_leaves(object);
    let mut kinds = all.iter().filter(|leaf| KINDS.contains(&plain_name(leaf.name()).as_str()));
    let book = kinds.find(|leaf| {
        let text = leaf.value.as_str().unwrap_or_default().to_ascii_lowercase();
        let mut words = text.split(['.', ':', '@', '/', '-', ' ']).map(plain_name);
        words.any(|word| {
            BOOKS.contains(&word.as_str())
                || PARTS.iter().any(|part| word.contains(part))
                || OF_ORDERS.iter().any(|part| word.starts_with(part) || word.ends_with(part))
        })
    })?;
    Path::new(&book.path).map(|path| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::anatomy::{find_ways, parse};
    use super::*;

    fn books(message: &str) -> Vec<(String, bool)> {
        let message = parse(message.as_bytes()).unwrap();
        let all = find_ways(&message);
        all.iter().map(|way| (way.to_string(), is_book(&message, way))).collect()
    }

    #[test]
    fn books_quotes_and_orders_are_told_by_names_of_arrays_and_of_kinds() {
        for message in [
            r#"{"bids":[{"price":1}],"asks":[{"price":2}]}"#,
            r#"{"buys":[{"price":1}],"sells":[{"price":2}],"Quotes":[{"price":2}]}"#,
            r#"{"levels":[{"price":1}],"order_book":[{"price":1}],"openOrders":[{"price":1}]}"#,
            r#"{"channel":"l2_data","events":[{"updates":[{"price":"1"}]}]}"#,
            r#"{"events":[{"updates":[{"price_level":"1"}],"price_level":1}]}"#,
            r#"{"channel":"book","data":[{"symbol":"A","price":1}]}"#,
            r#"{"arg":{"channel":"books5"},"data":[{"price":1}]}"#,
            r#"{"topic":"orderbook.1.BTCUSDT","data":{"price":1}}"#,
            r#"{"stream":"btcusdt@depth","data":{"price":1}}"#,
            r#"{"channel":"orders","data":[{"price":1}]}"#,
            r#"{"topic":"quotes","data":{"price":1}}"#,
            r#"{"topic":"order_update","data":{"price":1}}"#,
            r#"{"topic":"marketByOrder","data":{"price":1}}"#,
            r#"{"topic":"trade_orders","data":{"price":1}}"#,
            r#"{"channel":"level3","data":{"price":1}}"#,
            r#"{"offers":[{"price":1,"size":1}],"demand":[{"price":2,"size":1}]}"#,
            r#"{"bid_side":[{"price":1}],"buyers":[{"price":2}],"asked":[{"price":2}]}"#,
        ] {
            let found = books(message);
            assert!(!found.is_empty() && found.iter().all(|(_, is_book)| *is_book), "{found:?}");
        }
    }

    #[test]
    fn the_names_that_the_manual_lists_are_those_of_books() {
        let manual = include_str!("../../../docs/message-format.md");
        let (_, list) = manual.split_once("order book, quotes or orders (").unwrap();
        let (list, _) = list.split_once(", or in a message").unwrap();
        let names: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(
            names.len() > 5 && names.iter().all(|name| is_named(&plain_name(name))),
            "{names:?}"
        );
    }

    #[test]
    fn a_side_of_a_book_makes_no_book_of_the_trades_beside_it() {
        let message = r#"{"offers":[{"price":1,"size":1}],"trades":[{"price":2,"size":1}]}"#;
        assert_eq!(books(message), [("offers".to_owned(), true), ("trades".to_owned(), false)]);
    }

    #[test]
    fn a_message_says_itself_that_it_is_a_book() {
        let member =
            |message: &str| book_member(parse(message.as_bytes()).unwrap().as_object().unwrap());
        for (message, name) in [
            (r#"{"channel":"orders","price":1}"#, "channel"),
            (r#"{"topic":"quotes","data":{"price":1}}"#, "topic"),
            (r#"{"arg":{"channel":"books5"},"data":[]}"#, "arg.channel"),
            (r#"{"event":"order_book"}"#, "event"),
            (r#"{"side":"bid","price":1,"size":9,"level":3}"#, "level"),
        ] {
            assert_eq!(member(message).as_deref(), Some(name), "{message}");
        }
        for message in [
            r#"{"channel":"trades"}"#,
            r#"{"topic":"orderly-trades"}"#,
            r#"{"side":"buy","price":1,"level":"info"}"#,
            r#"{"type":"l2_updates","trades":[{"price":1}]}"#,
        ] {
            assert_eq!(member(message), None, "{message}");
        }
    }

    #[test]
    fn trades_are_none() {
        for message in [
            r#"{"trades":[{"price":1,"side":"ask","order_id":1}],"updates":[{"price":1}]}"#,
            r#"{"channel":"market_trades","events":[{"type":"update","tickers":[{"price":1}]}]}"#,
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","p":"1"},"facebook":"x"}"#,
            r#"{"topic":"publicTrade.BTCUSDT","data":[{"p":1}],"tasks":[{"price":1}]}"#,
            r#"{"type":"l2_updates","changes":[["buy","1"]],"trades":[{"price":1}]}"#,
            r#"{"channel":"bookings","data":[{"price":1}],"buy_trades":[{"price":1}]}"#,
        ] {
            let found = books(message);
            assert!(!found.is_empty() && found.iter().all(|(_, is_book)| !is_book), "{found:?}");
        }
    }
}
