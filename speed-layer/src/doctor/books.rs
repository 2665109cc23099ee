//! Which arrays hold what somebody offers or asks, and no trades: order books, quotes and orders,
//! by their names and by what their messages say of themselves.

use super::anatomy::{Members, first_element, leaves};
use super::traits::plain;
use common::decode::Path;
use serde_json::Value;

/// Names of such arrays, and of the objects around them, as letters and digits in lower case.
const NAMES: [&str; 20] = [
    "bid", "bids", "ask", "asks", "buy", "buys", "sell", "sells", "offer", "offers", "level",
    "levels", "bbo", "nbbo", "l1", "l2", "l3", "book", "order", "orders",
];
/// Parts of such names, and of what a message says of its kind.
const PARTS: [&str; 6] = ["orderbook", "quote", "depth", "level2", "pricelevel", "booklevel"];
/// Ends of such names.
const ENDS: [&str; 5] = ["bids", "levels", "book", "books", "orders"];
/// Members by which a message says of which kind it is, and kinds that are books.
const KINDS: [&str; 10] =
    ["channel", "type", "event", "e", "ev", "ch", "table", "topic", "stream", "subject"];
const BOOKS: [&str; 8] = ["book", "l2", "l3", "bbo", "books5", "l2data", "l2update", "l2updates"];
/// Members that a level of a book has, and a trade has not.
const OF_LEVELS: [&str; 4] = ["pricelevel", "newquantity", "newqty", "liquidity"];

/// Whether the way leads to levels of a book, to quotes or to orders.
pub fn is_book(message: &Value, way: &Path) -> bool {
    if way.names().iter().any(|name| is_named(&plain(name))) {
        return true;
    }
    first_element(message, Some(way)).is_some_and(|(element, around)| {
        is_level(element) || says_book(element) || around.into_iter().any(says_book)
    })
}

fn is_named(name: &str) -> bool {
    NAMES.contains(&name)
        || PARTS.iter().any(|part| name.contains(part))
        || ENDS.iter().any(|end| name.ends_with(end))
}

fn is_level(element: &Members) -> bool {
    element.keys().any(|name| OF_LEVELS.contains(&plain(name).as_str()))
}

/// `"channel":"l2_data"`, `"topic":"orderbook.1.BTCUSDT"`, `"arg":{"channel":"books5"}`.
fn says_book(object: &Members) -> bool {
    leaves(object).iter().filter(|leaf| KINDS.contains(&plain(leaf.name()).as_str())).any(|leaf| {
        let text = leaf.value.as_str().unwrap_or_default().to_ascii_lowercase();
        let words = text.split(['.', ':', '@', '/', '-', ' ']).map(plain);
        let is_one = |word: String| {
            BOOKS.contains(&word.as_str()) || PARTS.iter().any(|part| word.contains(part))
        };
        words.into_iter().any(is_one)
    })
}

#[cfg(test)]
mod tests {
    use super::super::anatomy::{parse, ways};
    use super::*;

    fn books(message: &str) -> Vec<(String, bool)> {
        let message = parse(message.as_bytes()).unwrap();
        let all = ways(&message);
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
        assert!(names.len() > 5 && names.iter().all(|name| is_named(&plain(name))), "{names:?}");
    }

    #[test]
    fn trades_are_none() {
        for message in [
            r#"{"trades":[{"price":1,"side":"ask","order_id":1}],"updates":[{"price":1}]}"#,
            r#"{"channel":"market_trades","events":[{"type":"update","tickers":[{"price":1}]}]}"#,
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","p":"1"},"facebook":"x"}"#,
            r#"{"topic":"publicTrade.BTCUSDT","data":[{"p":1}],"tasks":[{"price":1}]}"#,
        ] {
            let found = books(message);
            assert!(!found.is_empty() && found.iter().all(|(_, is_book)| !is_book), "{found:?}");
        }
    }
}
