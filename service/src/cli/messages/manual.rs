//! The tables of docs/message-format.md, held against what messages become by their flags.

use super::{Flags, MessageArgs};
use clap::Parser;
use common::decode::{Conditions, Decoder, Element, Preset, ProvenanceNames, RecordContext};
use common::{Named, Reject, Tick, Timestamp};

const MANUAL: &str = include_str!("../../../../docs/message-format.md");

/// 2025-06-06T14:00:05Z, the time of each record.
const RECORD: Timestamp = Timestamp::from_micros(1_749_218_405_000_000);

/// The cells of the rows below this one.
fn read_table(head: &str) -> Vec<Vec<String>> {
    let (_, below) = MANUAL.split_once(&format!("\n{head}\n")).expect("a table of the manual's");
    let rows = below.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().replace('\0', "|");
    let cells = |row: &str| {
        row.replace(r"\|", "\0").trim_matches('|').split('|').map(cell).collect::<Vec<_>>()
    };
    rows.map(cells).collect()
}

/// The texts in backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// As a shell parts them.
fn words(flags: &str) -> Vec<&str> {
    let parts = flags.split('\'').enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            0 => part.split_whitespace().collect(),
            _ => vec![part],
        })
        .collect()
}

fn args(flags: &str) -> MessageArgs {
    Flags::try_parse_from(["test"].into_iter().chain(words(flags))).unwrap().messages
}

/// The ticks of a message, whose key and topic are `AAPL`, or why it is none.
fn read(flags: &str, message: &str) -> String {
    let mut decoder = Decoder::new(args(flags).rules(ProvenanceNames::default()), RECORD);
    let beside = RecordContext { key: Some(b"AAPL"), topic: Some("AAPL"), time: Some(RECORD) };
    let mut all = Vec::new();
    let why = |reject: Reject| reject.reason.as_str().to_owned();
    let mut each = |element: Element<'_>| {
        all.push(element.read.map_or_else(why, |record| text(&record.tick)));
    };
    let whole = decoder.decode_each_strictly(message.as_bytes(), &beside, &mut each);
    whole.map_or_else(why, |()| all.join("; "))
}

/// Symbol, time, open, close and volume; and the extras.
fn text(tick: &Tick<'_>) -> String {
    fn or_none(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    let (symbol, at, prices) = (tick.symbol(), tick.timestamp(), tick.prices());
    let volume = or_none(tick.volume());
    let plain = format!("{} {at} {} {} {volume}", symbol.as_str(), prices.open, prices.close);
    let extras = tick.extras();
    if extras.is_empty() {
        return plain;
    }
    let codes = extras.conditions().iter().collect::<Vec<_>>().join(",");
    let (bid, ask) = (or_none(extras.bid()), or_none(extras.ask()));
    format!("{plain}, {bid} {ask} [{codes}] {}", or_none(extras.sequence()))
}

/// Where there are several flags or messages in a row, the first goes with the first.
struct Row {
    /// The first cell.
    messages: &'static str,
    /// Such messages, and what they are.
    read: &'static [(&'static str, &'static str)],
}

const ROWS: [Row; 26] = [
    Row {
        messages: r#"`{"ticker":"AAPL","price":201.5,"qty":100,"ts":1749218401123}`"#,
        read: &[(
            r#"{"ticker":"AAPL","price":201.5,"qty":100,"ts":1749218401123}"#,
            "AAPL 2025-06-06T14:00:01.123Z 201.5 201.5 100",
        )],
    },
    Row {
        messages: r#"`{"Symbol":"AAPL","Open":"201.5","High":..,"Low":..,"Close":..,"Volume":"1200","Date":1749218401}`"#,
        read: &[(
            r#"{"Symbol":"AAPL","Open":"201.5","High":"202","Low":"201","Close":"201.75","Volume":"1200","Date":1749218401}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.75 1200",
        )],
    },
    Row {
        messages: r#"`{"s":"AAPL","p":201.5,"v":100,"t":1749218401123}`"#,
        read: &[(
            r#"{"s":"AAPL","p":201.5,"v":100,"t":1749218401123}"#,
            "AAPL 2025-06-06T14:00:01.123Z 201.5 201.5 100",
        )],
    },
    Row {
        messages: r#"`{"quote":{"last":201.5},"Volume BTC":7,..}`"#,
        read: &[(
            r#"{"quote":{"last":201.5},"Volume BTC":7,"symbol":"AAPL","ts":1749218401}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.5 7",
        )],
    },
    Row {
        messages: "some have `last`, the others `mid`",
        read: &[
            (
                r#"{"symbol":"AAPL","last":201.5,"ts":1749218401}"#,
                "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -",
            ),
            (
                r#"{"symbol":"AAPL","mid":201.25,"ts":1749218401}"#,
                "AAPL 2025-06-06T14:00:01Z 201.25 201.25 -",
            ),
        ],
    },
    Row {
        messages: r#"`{..,"Close":80.71}` without an open: a price alone"#,
        read: &[(
            r#"{"symbol":"TSLA","Close":80.71,"ts":1749218401}"#,
            "TSLA 2025-06-06T14:00:01Z 80.71 80.71 -",
        )],
    },
    Row {
        messages: r#"`{..,"timestamp":"2025-06-06 10:00:01"}` or `"2025-06-06"`"#,
        read: &[
            (
                r#"{"symbol":"AAPL","price":1,"timestamp":"2025-06-06 10:00:01"}"#,
                "AAPL 2025-06-06T14:00:01Z 1 1 -",
            ),
            (
                r#"{"symbol":"AAPL","price":1,"timestamp":"2025-06-06"}"#,
                "AAPL 2025-06-06T04:00:00Z 1 1 -",
            ),
        ],
    },
    Row {
        messages: "no symbol, but it is the record's key, or the topic's name",
        read: &[(r#"{"price":1,"ts":1749218401}"#, "AAPL 2025-06-06T14:00:01Z 1 1 -")],
    },
    Row {
        messages: "no time",
        read: &[(r#"{"symbol":"AAPL","price":1}"#, "AAPL 2025-06-06T14:00:05Z 1 1 -")],
    },
    Row {
        messages: "no symbol and no time",
        read: &[(r#"{"price":1}"#, "AAPL 2025-06-06T14:00:05Z 1 1 -")],
    },
    Row {
        messages: "some have `ticker`, of the others it is the key",
        read: &[
            (r#"{"ticker":"MSFT","price":1,"ts":1749218401}"#, "MSFT 2025-06-06T14:00:01Z 1 1 -"),
            (r#"{"price":1,"ts":1749218401}"#, "AAPL 2025-06-06T14:00:01Z 1 1 -"),
        ],
    },
    Row {
        messages: "rows of yfinance or Alpha Vantage, with the symbol as key",
        read: &[
            (
                r#"{"Open":201.5,"High":202,"Low":201,"Close":201.75,"Volume":1200,"Date":"2025-06-06 10:00:01"}"#,
                "AAPL 2025-06-06T14:00:01Z 201.5 201.75 1200",
            ),
            (
                r#"{"1. open":"201.5","2. high":"202","3. low":"201","4. close":"201.75","5. volume":"1200","timestamp":"2025-06-06 10:00:01"}"#,
                "AAPL 2025-06-06T14:00:01Z 201.5 201.75 1200",
            ),
        ],
    },
    Row {
        messages: r#"`{..,"date":"2025-06-06","time":"10:00:01"}`"#,
        read: &[(
            r#"{"symbol":"AAPL","price":1,"date":"2025-06-06","time":"10:00:01"}"#,
            "AAPL 2025-06-06T14:00:01Z 1 1 -",
        )],
    },
    Row {
        messages: r#"`{..,"bid":201.4,"ask":201.6}`: the quote beside the trade"#,
        read: &[(
            r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"bid":201.4,"ask":201.6}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -, 201.4 201.6 [] -",
        )],
    },
    Row {
        messages: r#"`{..,"c":["@","I"],"bp":201.4,"ap":201.6}`"#,
        read: &[(
            r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"c":["@","I"],"bp":201.4,"ap":201.6}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -, 201.4 201.6 [@,I] -",
        )],
    },
    Row {
        messages: "trades that the feed numbers without holes",
        read: &[(
            r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"NAME":17}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -, - - [] 17",
        )],
    },
    Row {
        messages: r#"`{..,"correction":8}`: whether a trade was taken back or corrected"#,
        read: &[(
            r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"correction":8}"#,
            "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -, - - [correction=8] -",
        )],
    },
    Row {
        messages: r#"trades among other messages: `{"type":"match",..}`"#,
        read: &[
            (
                r#"{"type":"match","symbol":"AAPL","price":1,"ts":1749218401}"#,
                "AAPL 2025-06-06T14:00:01Z 1 1 -",
            ),
            (r#"{"type":"quote","symbol":"AAPL","price":1,"ts":1749218401}"#, "other_kind"),
        ],
    },
    Row {
        messages: "`[{..},{..}]`: several ticks in a message",
        read: &[(
            r#"[{"symbol":"AAPL","price":1,"ts":1749218401},{"symbol":"MSFT","price":2,"ts":1749218401}]"#,
            "AAPL 2025-06-06T14:00:01Z 1 1 -; MSFT 2025-06-06T14:00:01Z 2 2 -",
        )],
    },
    Row {
        messages: r#"`{"type":"trade","data":[{..},{..}]}`"#,
        read: &[(
            r#"{"type":"trade","data":[{"symbol":"AAPL","price":1,"ts":1749218401},{"symbol":"MSFT","price":2,"ts":1749218401}]}"#,
            "AAPL 2025-06-06T14:00:01Z 1 1 -; MSFT 2025-06-06T14:00:01Z 2 2 -",
        )],
    },
    Row {
        messages: r#"`{"symbol":"AAPL","candles":[{"ts":..,"open":..,"close":..},..]}`"#,
        read: &[(
            r#"{"symbol":"AAPL","candles":[{"ts":1749218401,"open":1,"close":2},{"ts":1749218402,"open":2,"close":3}]}"#,
            "AAPL 2025-06-06T14:00:01Z 1 2 -; AAPL 2025-06-06T14:00:02Z 2 3 -",
        )],
    },
    Row {
        messages: "milliseconds of days before 1973-03-03: numbers of up to 11 digits",
        read: &[(
            r#"{"symbol":"AAPL","price":1,"ts":86400123}"#,
            "AAPL 1970-01-02T00:00:00.123Z 1 1 -",
        )],
    },
    Row {
        messages: r#"`{..,"Timestamp":638848152011230000}`: .NET's ticks"#,
        read: &[(
            r#"{"Symbol":"AAPL","Price":1,"Timestamp":638848152011230000}"#,
            "AAPL 2025-06-06T14:00:01.123Z 1 1 -",
        )],
    },
    Row {
        messages: "days before 1990",
        read: &[(
            r#"{"symbol":"AAPL","price":1,"ts":"1989-06-05T14:00:00Z"}"#,
            "AAPL 1989-06-05T14:00:00Z 1 1 -",
        )],
    },
    Row {
        messages: "prices of zero and below: futures, power, spreads",
        read: &[
            (
                r#"{"symbol":"CL","price":-37.63,"ts":1749218401}"#,
                "CL 2025-06-06T14:00:01Z -37.63 -37.63 -",
            ),
            (r#"{"symbol":"CL","price":0,"ts":1749218401}"#, "CL 2025-06-06T14:00:01Z 0 0 -"),
        ],
    },
    Row {
        messages: "`aapl` and `AAPL` are one symbol",
        read: &[
            (r#"{"symbol":"aapl","price":1,"ts":1749218401}"#, "AAPL 2025-06-06T14:00:01Z 1 1 -"),
            (r#"{"symbol":"AAPL","price":1,"ts":1749218401}"#, "AAPL 2025-06-06T14:00:01Z 1 1 -"),
        ],
    },
];

#[test]
fn the_manuals_flags_make_ticks_of_its_messages_which_they_are_not_without() {
    let table = read_table("| messages | flags |");
    // The last two are of a registry, and of presets.
    assert_eq!(table.len(), ROWS.len() + 2);
    for (row, cells) in ROWS.iter().zip(&table) {
        assert_eq!(row.messages, cells[0]);
        let mut flags = code(&cells[1]);
        flags.retain(|flags| flags.starts_with("--"));
        if flags.is_empty() {
            assert_eq!(cells[1], "none");
            flags.push("");
        }
        let at = |number: usize| {
            let (message, expected) = row.read[number.min(row.read.len() - 1)];
            (flags[number.min(flags.len() - 1)], message, expected)
        };
        let count = flags.len().max(row.read.len());
        for (flags, message, expected) in (0..count).map(at) {
            assert_eq!(read(flags, message), expected, "{flags}: {message}");
        }
        let is_needed = (0..count).map(at).any(|(_, message, told)| read("", message) != told);
        assert_eq!(is_needed, !flags[0].is_empty(), "{}", row.messages);
    }
}

#[test]
fn the_manual_names_the_presets_and_their_kinds() {
    let rows = read_table("| messages | flags |");
    let named: Vec<&str> = code(&rows[rows.len() - 1][1])
        .iter()
        .map(|name| name.trim_start_matches("--preset "))
        .collect();
    let all: Vec<&str> = Preset::ALL.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(named, all);
    let mut kinds: Vec<(String, String)> = read_table("| preset | its kinds |")
        .iter()
        .map(|row| (code(&row[0]).concat(), code(&row[1]).join(",")))
        .collect();
    kinds.sort_unstable();
    let of = |(preset, name, _): &(Preset, &str, &str)| {
        let kinds = Conditions(preset.conditions()).to_string();
        (!kinds.is_empty()).then(|| ((*name).to_owned(), kinds))
    };
    let mut expected: Vec<_> = Preset::ALL.iter().filter_map(of).collect();
    expected.sort_unstable();
    assert_eq!(kinds, expected);
}

/// Flags, a message, and what it is: of the sections on kinds, volumes and sequences.
const OF_PRESETS: [(&str, &str, &str); 14] = [
    (
        "--preset massive",
        r#"{"ev":"T","sym":"AAPL","p":201.5,"s":100,"ds":"100.25","t":1749218401123,"q":9}"#,
        "AAPL 2025-06-06T14:00:01.123Z 201.5 201.5 100.25",
    ),
    (
        "--preset massive",
        r#"{"ev":"T","sym":"AAPL","p":201.5,"s":100,"t":1749218401123,"c":[12,37]}"#,
        "AAPL 2025-06-06T14:00:01.123Z 201.5 201.5 100, - - [12,37] -",
    ),
    (
        "--preset kraken",
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":7,"volume":9,"timestamp":"2025-06-06T14:00:01Z"}]}"#,
        "BTC/USD 2025-06-06T14:00:01Z 7 7 -",
    ),
    (
        "--preset binance",
        r#"{"e":"trade","s":"BTCUSDT","t":17,"p":"7.5","q":"2","T":1749218401123}"#,
        "BTCUSDT 2025-06-06T14:00:01.123Z 7.5 7.5 2, - - [] 17",
    ),
    (
        "--preset binance --map sequence=none",
        r#"{"e":"trade","s":"BTCUSDT","t":17,"p":"7.5","q":"2","T":1749218401123}"#,
        "BTCUSDT 2025-06-06T14:00:01.123Z 7.5 7.5 2",
    ),
    (
        "--preset binance",
        r#"{"e":"aggTrade","s":"BTCUSDT","a":17,"p":"7.5","q":"2","f":1,"l":2,"T":1749218401123}"#,
        "BTCUSDT 2025-06-06T14:00:01.123Z 7.5 7.5 2",
    ),
    (
        "--where e=24hrTicker --map symbol=s,price=c,timestamp=E",
        r#"{"e":"24hrTicker","E":1749218401123,"s":"BTCUSDT","p":"0.5","c":"7.5","v":"900","o":"7","h":"8","l":"6"}"#,
        "BTCUSDT 2025-06-06T14:00:01.123Z 7.5 7.5 -",
    ),
    (
        "--preset coinbase",
        r#"{"type":"match","product_id":"BTC-USD","price":"7.5","size":"2","time":"2025-06-06T14:00:01Z","sequence":9}"#,
        "BTC-USD 2025-06-06T14:00:01Z 7.5 7.5 2",
    ),
    (
        "--preset coinbase --where 'type=match|last_match'",
        r#"{"type":"last_match","product_id":"BTC-USD","price":"7.5","size":"2","time":"2025-06-06T14:00:01Z"}"#,
        "BTC-USD 2025-06-06T14:00:01Z 7.5 7.5 2",
    ),
    (
        "--preset finnhub",
        r#"{"type":"trade","data":[{"s":"AAPL","p":201.5,"v":100,"t":1749218401123,"c":["1","8"]}]}"#,
        "AAPL 2025-06-06T14:00:01.123Z 201.5 201.5 100, - - [1,8] -",
    ),
    (
        "--preset alpaca",
        r#"{"T":"t","S":"AAPL","p":201.5,"s":100,"t":"2025-06-06T14:00:01Z","c":["@"]}"#,
        "AAPL 2025-06-06T14:00:01Z 201.5 201.5 100, - - [@] -",
    ),
    (
        "--map volume=lastSaleSize",
        r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"volume":1000000,"lastSaleSize":100}"#,
        "AAPL 2025-06-06T14:00:01Z 201.5 201.5 100",
    ),
    (
        "--map volume=none",
        r#"{"symbol":"AAPL","price":201.5,"ts":1749218401,"volume":1000000}"#,
        "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -",
    ),
    (
        "--map open=p,close=p,high=p",
        r#"{"symbol":"AAPL","p":201.5,"ts":1749218401}"#,
        "AAPL 2025-06-06T14:00:01Z 201.5 201.5 -",
    ),
];

#[test]
fn presets_and_maps_take_volumes_and_numbers_as_the_manual_says() {
    for (flags, message, expected) in OF_PRESETS {
        assert_eq!(read(flags, message), expected, "{flags}: {message}");
    }
}
