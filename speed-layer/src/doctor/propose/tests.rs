//! Which flags are proposed for which messages, with which notes.

use super::*;
use crate::doctor::command_line::command_line;
use common::decode::{Preset, TimestampFrom};
use serde_json::Value;
use std::collections::HashSet;

const NOW: Timestamp = Timestamp::from_micros(1_749_218_405_000_000);

fn sample(value: &str, key: Option<&str>) -> Sample {
    Sample {
        topic: "stock_prices".to_owned(),
        time: Some(NOW),
        key: key.map(|key| key.as_bytes().to_vec()),
        value: value.as_bytes().to_vec(),
        ..Sample::default()
    }
}

fn advice(values: &[&str]) -> Advice {
    let samples: Vec<Sample> = values.iter().map(|value| sample(value, None)).collect();
    advise(&MessageArgs::default(), &samples, NOW)
}

fn proposed(samples: &[Sample]) -> Option<(String, usize)> {
    let proposal = advise(&MessageArgs::default(), samples, NOW).proposal?;
    Some((command_line(&proposal.args), proposal.reading.ticks))
}

/// The samples of messages without a key.
fn flags(values: &[&str]) -> Option<(String, usize)> {
    let samples: Vec<Sample> = values.iter().map(|value| sample(value, None)).collect();
    proposed(&samples)
}

const GOOD: &str = r#"{"symbol":"AAPL","price":201.5,"volume":1,"timestamp":1749218401123}"#;

fn and_200_good(value: &str) -> Vec<&str> {
    [vec![GOOD; 200], vec![value]].concat()
}

#[test]
fn what_is_a_tick_already_needs_no_flag_and_what_no_flag_helps_gets_none() {
    assert_eq!(proposed(&[sample(r#"{"symbol":"A","price":1,"ts":1749218401}"#, None)]), None);
    assert_eq!(proposed(&[sample("x", None)]), None);
    assert_eq!(proposed(&[]), None);
}

#[test]
fn the_fewest_flags_that_reach_the_most_are_proposed() {
    for (value, key, flags) in [
        (r#"{"symbol":"A","price":1}"#, None, "--timestamp-from record"),
        (
            r#"{"symbol":"A","price":1,"date":"2025-06-06"}"#,
            None,
            "--timestamp-zone America/New_York",
        ),
        (r#"{"price":1}"#, Some("A"), "--symbol-from key --timestamp-from record"),
        (r#"{"s":"A","p":1,"v":1,"t":1749218401123}"#, None, "--preset finnhub"),
        // Its `t` would be a time for another preset.
        (
            r#"{"e":"trade","s":"A","p":"1","q":"0.5","t":1499218401,"T":1749218401123}"#,
            None,
            "--preset binance",
        ),
        // No preset: whose zone it is is to be said.
        (
            r#"{"price":1,"time":"2025-06-06 10:00:00"}"#,
            Some("A"),
            "--symbol-from key --timestamp-zone America/New_York",
        ),
        (r#"{"symbol":"CL","price":-37.63,"ts":1749218401}"#, None, "--allow-nonpositive-prices"),
        (
            r#"{"symbol":"HSI","price":1,"date":"1986-12-31"}"#,
            None,
            "--timestamp-zone America/New_York --oldest 1970-01-01",
        ),
        (
            r#"{"data":{"ticker":"A","price":1,"time":"2025-06-06 10:00"}}"#,
            None,
            "--each data --timestamp-zone America/New_York",
        ),
        (
            r#"{"quote":{"ticker":"A","price":1,"time":"2025-06-06 10:00"}}"#,
            None,
            "--map symbol=quote.ticker,price=quote.price,timestamp=quote.time --timestamp-zone \
             America/New_York",
        ),
    ] {
        assert_eq!(proposed(&[sample(value, key)]), Some((flags.to_owned(), 1)), "{value}");
    }
}

#[test]
fn the_record_s_time_is_proposed_only_where_no_message_could_have_one_of_its_own() {
    for broken in [
        r#""n/a""#,
        "[2025,6,6,10,0,1,123000000]",
        r#""06/07/2025 10:00:01""#,
        "0",
        r#""10:00:01""#,
    ] {
        let broken =
            format!(r#"{{"symbol":"AAPL","price":201.5,"volume":1,"timestamp":{broken}}}"#);
        assert_eq!(flags(&and_200_good(&broken)), None, "{broken}");
        let is_none = broken.contains("n/a");
        assert_eq!(flags(&[&broken]).is_some(), is_none || broken.contains(":0}"), "{broken}");
    }
    // Kraken's ticker may come without a time, its trades have one.
    let trade = r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":1.5,"qty":0.1,
        "timestamp":"2025-06-06T14:00:01.123456Z"}]}"#;
    let ticker = r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1.5,"volume":9.5}]}"#;
    assert_eq!(
        flags(&[&[trade; 8][..], &[ticker]].concat()),
        Some(("--preset kraken".to_owned(), 8))
    );
    // The volume of its day is none of a tick's.
    let day = ticker.replace("\"volume\"", "\"timestamp\":\"2025-06-06T14:00:01Z\",\"volume\"");
    assert_eq!(flags(&[&day]), Some(("--preset kraken".to_owned(), 1)));
    // The time of a trade among messages by letters.
    let letters = r#"{"s":"A","p":1,"q":2,"t":1749218401123}"#;
    assert_eq!(
        flags(&[letters]),
        Some(("--map symbol=s,price=p,volume=q,timestamp=t".to_owned(), 1))
    );
}

#[test]
fn a_date_and_a_time_of_day_are_put_together_and_no_midnight_goes_without_a_word() {
    let zone = "--timestamp-zone America/New_York";
    let trade =
        r#"{"symbol":"AAPL","date":"2025-06-06","time":"10:00:01","price":201.5,"volume":1}"#;
    let proposal = advice(&[trade]).proposal.unwrap();
    assert_eq!(
        command_line(&proposal.args),
        format!("--map timestamp=date,time_of_day=time {zone}")
    );
    assert!(proposal.reading.example.unwrap().contains("2025-06-06T14:00:01Z"));
    let bar =
        r#"{"date":"2025-06-06","minute":"09:30","open":1,"high":2,"low":1,"close":2,"volume":5}"#;
    let expected = format!("--map timestamp=date,time_of_day=minute --symbol-from key {zone}");
    assert_eq!(proposed(&[sample(bar, Some("AAPL"))]), Some((expected, 1)));
    let day = r#"{"symbol":"A","date":"2025-06-06","open":1,"close":2,"volume":5}"#;
    let notes = advice(&[day]).proposal.unwrap().notes;
    assert!(notes.iter().any(|note| note.starts_with("All times are midnights")), "{notes:?}");
}

#[test]
fn a_zone_is_proposed_where_the_records_times_tell_it() {
    let at = |time: &str| format!(r#"{{"symbol":"AAPL","price":201.5,"timestamp":"{time}"}}"#);
    for (time, zone) in [
        ("2025-06-06T14:00:04.123456", "UTC"),
        ("2025-06-06 10:00:04", "America/New_York"),
        ("2025-06-06 09:00:04", "America/Chicago"),
        ("2025-06-06 15:00:04", "Europe/London"),
        ("2025-06-06 16:00:04", "Europe/Berlin"),
        ("2025-06-06 19:30:04", "Asia/Kolkata"),
        ("2025-06-06 22:00:04", "Asia/Hong_Kong"),
        ("2025-06-06 23:00:04", "Asia/Tokyo"),
        ("2025-06-07 00:00:04", "Australia/Sydney"),
    ] {
        let expected = Some((format!("--timestamp-zone {zone}"), 1));
        assert_eq!(flags(&[&at(time)]), expected, "{time}");
    }
    let proposal = advice(&[&at("2025-06-06T14:00:04")]).proposal.unwrap();
    assert!(proposal.reading.example.unwrap().contains("2025-06-06T14:00:04Z"));
    assert!(proposal.notes[0].contains("within half an hour"), "{:?}", proposal.notes);
    // The one that the message names, before one that has the same times.
    let said =
        r#"{"symbol":"X","price":1,"timestamp":"2025-06-06 22:00:04","timezone":"Asia/Singapore"}"#;
    let expected = Some(("--timestamp-zone Asia/Singapore".to_owned(), 1));
    assert_eq!(flags(&[said]), expected);
    // A preset that knows the zone of its library knows none of another producer.
    let row = r#"{"timestamp":"2025-06-06 14:00:00","1. open":"1","2. high":"2","3. low":"1","4. close":"2","5. volume":"3"}"#;
    let (found, _) = proposed(&[sample(row, Some("A"))]).unwrap();
    assert!(found.ends_with("--timestamp-zone UTC"), "{found}");
}

#[test]
fn a_zone_that_nothing_tells_is_not_proposed_and_its_flag_is_named() {
    let loaded = r#"{"ticker":"A","mid_price":1,"timestamp":"2024-01-02 10:00:01"}"#;
    let found = advice(&[loaded]);
    assert!(found.proposal.is_none(), "{:?}", found.proposal);
    let named = "--map price=mid_price --timestamp-zone ZONE";
    assert!(found.doubts.iter().any(|doubt| doubt.contains(named)), "{:?}", found.doubts);
    // A time in the message counts for more than none.
    let (found, _) = flags(&[&loaded.replace("timestamp", "timestamp_utc")]).unwrap();
    assert!(found.ends_with("--timestamp-zone UTC"), "{found}");
}

#[test]
fn times_that_are_later_than_their_records_are_said() {
    let value = r#"{"symbol":"AAPL","price":201.5,"timestamp":"2025-06-06T14:00:04"}"#;
    let zone = "America/New_York".parse().ok();
    let args = MessageArgs { timestamp_zone: zone, ..MessageArgs::default() };
    let notes = advise(&args, &[sample(value, None)], NOW).notes;
    assert!(notes.iter().any(|note| note.contains("later than those of")), "{notes:?}");
}

#[test]
fn the_change_of_a_price_is_no_price() {
    let ticker = |change: &str| {
        format!(
            r#"{{"e":"24hrTicker","E":1749218401125,"s":"BNBBTC","p":"{change}","P":"250.00","w":"0.0018","c":"0.0025",
                "Q":"10","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":1749218401125}}"#
        )
    };
    let expected = Some(("--map symbol=s,price=c,timestamp=E".to_owned(), 2));
    assert_eq!(flags(&[&ticker("0.0015"), &ticker("-0.0015")]), expected);
}

#[test]
fn a_feed_in_a_wrapper_is_read_by_its_own_preset() {
    let combined = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1749218401125,"s":"BTCUSDT","t":12345,
        "p":"104250.01000000","q":"0.00100000","T":1749218401123,"m":true,"M":true}}"#;
    assert_eq!(flags(&[combined]), Some(("--preset binance --each data".to_owned(), 1)));
    let bybit = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1749218401124,"data":[{"T":1749218401123,
        "s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"x","BT":false}]}"#;
    let expected = "--map symbol=s,price=p,volume=v,timestamp=T --each data";
    assert_eq!(flags(&[bybit]), Some((expected.to_owned(), 1)));
}

#[test]
fn arrays_of_ticks_are_found_and_no_preset_that_loses_their_volume() {
    for (value, expected) in [
        (
            r#"{"type":"trade","data":[{"symbol":"AAPL","price":201.5,"size":1,"timestamp":1749218401123}]}"#,
            "--each data",
        ),
        (
            r#"{"table":"trade","data":[{"timestamp":"2025-06-06T14:00:01.123Z","symbol":"XBTUSD","side":"Buy",
                "size":100,"price":16578.5}]}"#,
            "--each data",
        ),
        (
            r#"{"symbol":"AAPL","candles":[{"ts":1749218401123,"open":1,"close":2}]}"#,
            "--each candles",
        ),
        (
            r#"{"channel":"market_trades","timestamp":"2025-06-06T14:00:02Z","events":[{"type":"update","trades":[
                {"trade_id":"1","product_id":"BTC-USD","price":"1.5","size":"0.1","side":"BUY",
                 "time":"2025-06-06T14:00:01Z"}]}]}"#,
            "--each events.trades",
        ),
        (
            r#"{"ticker":"AAPL","results":[{"c":2,"h":2,"l":1,"n":5,"o":1,"t":1749218400000,"v":10,"vw":1.5}]}"#,
            "--map open=o,high=h,low=l,close=c,volume=v,timestamp=t --each results",
        ),
        (
            r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1",
                "px":"42219.9","sz":"0.12","side":"buy","ts":"1749218401123"}]}"#,
            "--map symbol=instId,price=px,volume=sz --each data",
        ),
    ] {
        assert_eq!(flags(&[value]), Some((expected.to_owned(), 1)), "{value}");
    }
}

#[test]
fn levels_of_a_book_quotes_and_orders_are_never_proposed_as_trades() {
    for value in [
        r#"{"symbol":"A","ts":1749218401123,"bids":[{"price":1,"size":1}],"asks":[{"price":2,"size":1}]}"#,
        r#"{"symbol":"A","ts":1749218401123,"buys":[{"price":1,"qty":1}],"sells":[{"price":2,"qty":1}]}"#,
        r#"{"type":"PRICE","time":"2025-06-06T14:00:01Z","instrument":"EUR_USD","bids":[{"price":"1.1","liquidity":1}],
            "asks":[{"price":"1.2","liquidity":1}],"closeoutBid":"1.1","closeoutAsk":"1.2"}"#,
        r#"{"channel":"l2_data","timestamp":"2025-06-06T14:00:02Z","events":[{"type":"update","product_id":"BTC-USD",
            "updates":[{"side":"bid","event_time":"2025-06-06T14:00:01Z","price_level":"1.5","new_quantity":"0.06"}]}]}"#,
        r#"{"symbol":"A","ts":1749218401123,"orders":[{"price":1,"qty":1}]}"#,
    ] {
        let advice = advice(&[value]);
        assert!(advice.proposal.is_none(), "{:?}", advice.proposal);
        let is_said = |doubt: &String| doubt.contains("are no trades");
        assert!(advice.doubts.iter().any(is_said), "{value}: {:?}", advice.doubts);
    }
    for (other, element) in [("quotes", "trades"), ("orders", "executions")] {
        let value = format!(
            r#"{{"symbol":"A","ts":1749218401123,"{other}":[{{"price":1,"size":2}}],"{element}":[{{"price":3,"size":4}}]}}"#
        );
        assert_eq!(flags(&[&value]), Some((format!("--each {element}"), 1)), "{value}");
    }
}

#[test]
fn of_two_arrays_that_fit_as_well_both_are_said_and_none_is_proposed() {
    for value in [
        r#"{"zeta":[{"symbol":"A","ts":1749218401123,"price":1,"qty":2}],
            "alpha":[{"symbol":"A","ts":1749218401123,"price":1,"qty":2}]}"#,
        r#"{"symbol":"A","ts":1749218401123,"zeta":[{"mid_price":1}],"alpha":[{"coin_price":1,"qty":2}]}"#,
    ] {
        let advice = advice(&[value]);
        assert!(advice.proposal.is_none(), "{:?}", advice.proposal);
        let is_said =
            |doubt: &String| doubt.contains("--each alpha") && doubt.contains("--each zeta");
        assert!(advice.doubts.iter().any(is_said), "{value}: {:?}", advice.doubts);
    }
}

fn notes_of(values: &[&str]) -> String {
    let advice = advice(values);
    let proposed = advice.proposal.map(|proposal| proposal.notes).unwrap_or_default();
    [advice.notes, proposed].concat().join(" ")
}

#[test]
fn a_time_that_no_flag_reads_is_named_and_none_of_its_record_proposed() {
    for (member, value) in [
        ("ts", "17959361536320"),
        ("Timestamp", "20250606140001"),
        ("ts", "133937412011230000"),
        ("ts", "45814.583345"),
        ("time", "50401000"),
        ("timestamp", r#""06/07/2025 10:00:01""#),
    ] {
        let message = format!(r#"{{"symbol":"SPX","price":5,"{member}":{value}}}"#);
        let advice = advice(&[&message]);
        assert!(advice.proposal.is_none(), "{:?}", advice.proposal);
        let said = format!("{member:?} may be the time, but {value} is none that is read");
        assert!(advice.doubts.iter().any(|doubt| doubt.contains(&said)), "{:?}", advice.doubts);
    }
}

#[test]
fn times_by_letters_and_inside_of_objects_go_before_the_record_s() {
    for (value, expected) in [
        (
            r#"[{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,
                "h":0.4489,"l":0.4486,"a":0.4352,"z":685,"s":1749218400000,"e":1749218460000}]"#,
            "--map open=o,high=h,low=l,close=c,volume=v,timestamp=s",
        ),
        (
            r#"{"sym":"GTE","o":1,"h":2,"l":1,"c":2,"s":1749218400000,"e":1749218460000}"#,
            "--map open=o,high=h,low=l,close=c,timestamp=s",
        ),
        (
            r#"{"ts_recv":"1749218401123456789","hd":{"ts_event":"1749218401123000000","rtype":0},"action":"T",
                "side":"B","price":"5.41","size":1,"symbol":"ESH4"}"#,
            "--map timestamp=hd.ts_event",
        ),
        (
            r#"{"time":1749218401,"time_ms":1749218401123,"channel":"spot.trades","event":"update","result":{"id":3,
                "create_time":1749218401,"create_time_ms":"1749218401123.4578","side":"sell",
                "currency_pair":"GT_USDT","amount":"16.47","price":"0.4705"}}"#,
            "--map symbol=result.currency_pair,price=result.price,volume=result.amount,timestamp=result.create_time_ms",
        ),
    ] {
        assert_eq!(flags(&[value]), Some((expected.to_owned(), 1)), "{value}");
    }
}

#[test]
fn a_day_s_quote_by_letters_is_no_bar_of_a_feed_and_a_price_in_cents_no_price() {
    let quote =
        r#"{"c":201.5,"d":0.1,"dp":0.05,"h":202.9,"l":199,"o":200,"pc":201.4,"t":1749218401}"#;
    let expected = "--map price=c,timestamp=t --symbol-from key";
    assert_eq!(proposed(&[sample(quote, Some("AAPL"))]), Some((expected.to_owned(), 1)));
    let cents = r#"{"symbol":"AAPL","price_cents":20150,"qty":5,"ts":1749218401123}"#;
    assert_eq!(flags(&[cents]), None);
}

#[test]
fn a_key_that_names_what_the_topic_holds_is_no_symbol() {
    let value = r#"{"price":5,"ts":1749218401123,"code":"AAPL"}"#;
    for key in ["trades", "stock_prices"] {
        assert_eq!(proposed(&[sample(value, Some(key)), sample(value, Some(key))]), None);
    }
}

#[test]
fn changes_of_rows_and_other_kinds_that_pass_for_ticks_are_said_with_where() {
    let row = r#""symbol":"A","price":1,"qty":2,"ts":1749218401123"#;
    let each = |member: &str, values: &[&str], row: &str| -> String {
        let of = |value: &&str| format!(r#"{{"{member}":{value},{row}}}"#);
        let values: Vec<String> = values.iter().map(of).collect();
        notes_of(&values.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let inner = format!(r#""data":{{{row}}}"#);
    for (notes, said) in [
        (each("__op", &[r#""c""#, r#""u""#, r#""d""#], row), "--where __op=c"),
        (each("__deleted", &[r#""false""#, r#""true""#], row), "--where __deleted=false"),
        (
            each("type", &[r#""update""#, r#""delete""#, r#""insert""#], &inner),
            "--where type=insert",
        ),
        (each("type", &[r#""trade""#, r#""quote""#], row), "--where type=trade"),
        (each("MsgType", &[r#""8""#, r#""S""#], row), "--where MsgType=8"),
        // For one message alone, too.
        (each("op", &[r#""d""#], row), "--where op=VALUE"),
        (each("action", &[r#""delete""#], row), "--where action=VALUE"),
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let after = format!(r#"{{"before":null,"after":{{{row}}},"op":"u"}}"#);
    assert!(notes_of(&[&after]).contains("--where op=VALUE"));
    for (member, values) in [
        ("type", &[r#""trade""#][..]),
        ("type", &[r#""buy""#, r#""sell""#]),
        ("side", &[r#""a""#, r#""b""#]),
        ("__deleted", &["false"]),
        ("T", &[r#""d""#]),
    ] {
        assert_eq!(each(member, values, row), "", "{member}");
    }
}

#[test]
fn what_is_asked_of_a_kind_already_is_not_said_again() {
    let value = |kind: &str| {
        format!(r#"{{"type":"{kind}","symbol":"A","price":1,"volume":1,"ts":1749218401123}}"#)
    };
    let samples = [sample(&value("trade"), None), sample(&value("block"), None)];
    let conditions = "type=trade|block".parse().ok();
    let args = MessageArgs { conditions, ..MessageArgs::default() };
    assert_eq!(advise(&args, &samples, NOW).notes, [""; 0]);
}

#[test]
fn a_last_price_beside_the_open_and_close_of_days_is_taken_or_said() {
    let quote = r#"{"symbol":"A","time":"2025-06-06T14:00:00Z","last":201.5,"lastSize":1,"volume":1000,"open":200.0,
        "high":205.0,"low":199.0,"close":199.5}"#;
    assert!(notes_of(&[quote]).contains("--map price=last"), "{}", notes_of(&[quote]));
    let angel = r#"{"tradingsymbol":"SBIN-EQ","open":186.0,"high":191.25,"low":185.0,"close":187.8,"ltp":191.0,
        "exchange_timestamp":1749218401123}"#;
    let expected = "--map symbol=tradingsymbol,price=ltp,timestamp=exchange_timestamp";
    assert_eq!(flags(&[angel]), Some((expected.to_owned(), 1)));
    // By a map that is not needed otherwise, too.
    let local = quote.replace("14:00:00Z", "10:00:00");
    let (found, _) = flags(&[&local]).unwrap();
    assert!(found.starts_with("--map price=last,volume=lastSize "), "{found}");
    let bar = r#"{"symbol":"A","ts":1749218401123,"open":1,"close":2,"price":2,"volume":1}"#;
    assert_eq!(notes_of(&[bar]), "");
}

#[test]
fn volumes_that_only_rise_orders_and_fixed_point_prices_are_said() {
    let with = |fields: &str| format!(r#"{{"symbol":"A","ts":1749218401123,{fields}}}"#);
    let volumes = |volume: fn(usize) -> usize| {
        let of = |number| with(&format!(r#""price":1,"volume":{}"#, volume(number)));
        let values: Vec<String> = (0..20).map(of).collect();
        notes_of(&values.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(volumes(|number| 1_000_000 + 100 * number).contains("only ever rise"));
    assert_eq!(volumes(|number| 1_000_000 + 100 * (number % 7)), "");
    assert_eq!(volumes(|_| 100), "");
    let order = with(r#""price":1,"qty":1,"type":"LIMIT","status":"NEW""#);
    assert!(notes_of(&[&order]).contains("By status these may be orders"));
    let fixed = with(r#""price":"5411750000","size":1"#);
    assert!(notes_of(&[&fixed]).contains("fixed-point"));
}

#[test]
fn what_doctor_cannot_see_of_the_archive_is_said() {
    let notes = |value: &str, key: Option<&str>| {
        let advice = advise(&MessageArgs::default(), &[sample(value, key)], NOW);
        [advice.notes, advice.proposal.map(|proposal| proposal.notes).unwrap_or_default()]
            .concat()
            .join(" ")
    };
    assert!(notes(&format!("[{GOOD}]"), None).contains("only where Connect wraps them"));
    let by_record = notes(r#"{"price":1}"#, Some("A"));
    assert!(
        by_record.contains("archive holds keys") && by_record.contains("archive must hold it"),
        "{by_record}"
    );
    assert_eq!(notes(GOOD, None), "");
}

#[test]
fn the_row_before_a_change_is_never_proposed() {
    let row = r#"{"symbol":"A","price":1,"volume":1,"ts":1749218401123}"#;
    let created = format!(r#"{{"before":null,"after":{row},"op":"c"}}"#);
    let deleted = format!(r#"{{"before":{row},"after":null,"op":"d"}}"#);
    let expected =
        "--map symbol=after.symbol,price=after.price,volume=after.volume,timestamp=after.ts";
    assert_eq!(flags(&[&deleted, &created]), Some((expected.to_owned(), 1)));
    assert_eq!(flags(&[&deleted]), None);
}

#[test]
fn a_guard_is_lifted_only_where_many_need_it_and_with_a_word() {
    let zero = GOOD.replace("201.5", "0");
    assert_eq!(flags(&and_200_good(&zero)), None);
    assert_eq!(flags(&and_200_good(&GOOD.replace("1749218401123", "0"))), None);
    let below = GOOD.replace("201.5", "-37.63");
    let proposal = advice(&[GOOD, GOOD, &below]).proposal.unwrap();
    assert_eq!(command_line(&proposal.args), "--allow-nonpositive-prices");
    assert!(proposal.notes.iter().any(|note| note.contains("no trade")), "{:?}", proposal.notes);
}

#[test]
fn a_feed_s_own_preset_is_proposed_though_others_of_its_messages_pass_for_ticks() {
    let of = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","product_id":"BTC-USD","price":"23886.96","size":"0.00775887","side":"buy",
                "sequence":1,"time":"2025-06-06T14:00:01.123456Z"}}"#
        )
    };
    let values: Vec<String> = ["received", "open", "match", "done", "received"].map(of).into();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let advice = advice(&values);
    let proposal = advice.proposal.unwrap();
    assert_eq!(
        (command_line(&proposal.args).as_str(), proposal.reading.ticks),
        ("--preset coinbase", 1)
    );
    assert_eq!(proposal.reading.other_kinds, 4);
    // Messages of others that name a kind stay the ticks that they are.
    let quote = r#"{"type":"quote","symbol":"A","price":1,"volume":1,"ts":1749218401123}"#;
    assert_eq!(flags(&[quote, quote, values[2]]), None);
}

#[test]
fn of_a_feed_s_trades_and_what_tells_of_them_once_more_the_trades_alone_are_proposed() {
    let kraken = |channel: &str, fields: &str| {
        format!(
            r#"{{"channel":"{channel}","type":"update","data":[{{"symbol":"BTC/USD",{fields},
                "timestamp":"2025-06-06T14:00:01.123456Z"}}]}}"#
        )
    };
    let coinbase = |kind: &str, size: &str| {
        format!(
            r#"{{"type":"{kind}","product_id":"BTC-USD","price":"1.5","{size}":"0.1","sequence":1,
                "time":"2025-06-06T14:00:01.123456Z"}}"#
        )
    };
    let binance = |kind: &str| {
        format!(
            r#"{{"e":"{kind}","E":1749218401125,"s":"A","t":1,"a":1,"p":"1","q":"0.5","T":1749218401123}}"#
        )
    };
    let alpaca = |kind: &str, fields: &str| {
        format!(r#"[{{"T":"{kind}","S":"A",{fields},"t":"2025-06-06T14:00:01.123456789Z"}}]"#)
    };
    for (trade, other, expected) in [
        (
            kraken("trade", r#""price":1.5,"qty":0.1"#),
            kraken("ticker", r#""last":1.5,"volume":9.5"#),
            "--preset kraken --where channel=trade",
        ),
        (
            coinbase("match", "size"),
            coinbase("ticker", "last_size"),
            "--preset coinbase --where type=match",
        ),
        (binance("trade"), binance("aggTrade"), "--preset binance --where e=trade"),
        (
            alpaca("t", r#""p":1.5,"s":1"#),
            alpaca("b", r#""o":1,"h":2,"l":1,"c":2,"v":5"#),
            "--preset alpaca --where T=t",
        ),
    ] {
        let proposal = advice(&[&trade, &other]).proposal.unwrap();
        let sorted = |flags: &str| {
            let mut flags: Vec<String> =
                flags.split("--").map(|flag| flag.trim().replace('\'', "")).collect();
            flags.sort();
            flags
        };
        assert_eq!(sorted(&command_line(&proposal.args)), sorted(expected));
        assert_eq!((proposal.reading.ticks, proposal.reading.other_kinds), (1, 1), "{expected}");
        assert!(
            proposal.notes.iter().any(|note| note.contains("tell of the same trades once more")),
            "{:?}",
            proposal.notes
        );
        // Where the preset is there already, too; and of one kind alone nothing is left out.
        let preset = MessageArgs { preset: proposal.args.preset, ..MessageArgs::default() };
        let samples = [sample(&trade, None), sample(&other, None)];
        let advice = advise(&preset, &samples, NOW);
        assert_eq!(command_line(&advice.proposal.unwrap().args), command_line(&proposal.args));
        assert!(
            !advice.notes.iter().any(|note| note.contains("--map volume")),
            "{:?}",
            advice.notes
        );
        for one in samples {
            assert!(advise(&preset, &[one], NOW).proposal.is_none(), "{expected}");
        }
    }
}

#[test]
fn of_two_times_that_fit_as_well_both_are_said_and_none_is_proposed() {
    let value = r#"{"symbol":"A","price":1,"volume":1,"exchangeTime":1749218401123,"systemTime":1749218401124}"#;
    let advice = advice(&[value]);
    assert!(advice.proposal.is_none(), "{:?}", advice.proposal);
    assert!(advice.doubts[0].contains("exchangeTime or systemTime"), "{:?}", advice.doubts);
}

#[test]
fn ids_as_keys_are_no_symbols() {
    let value = r#"{"price":1,"ts":1749218401123}"#;
    for key in ["8f14e45f-ceea-467f-a8d2-0d1b5e0c1a2b", "12345", r#"{"id":1}"#] {
        assert_eq!(proposed(&[sample(value, Some(key))]), None, "{key}");
    }
}

#[test]
fn a_preset_that_takes_the_key_for_a_symbol_says_so() {
    let row = r#"{"timestamp":"2025-06-06 10:00:00","1. open":"1","2. high":"2","3. low":"1","4. close":"2","5. volume":"3"}"#;
    let proposal =
        advise(&MessageArgs::default(), &[sample(row, Some("A"))], NOW).proposal.unwrap();
    assert_eq!(command_line(&proposal.args), "--preset alpha-vantage");
    assert!(
        proposal.notes.iter().any(|note| note.contains("record's key")),
        "{:?}",
        proposal.notes
    );
    assert_eq!(proposed(&[sample(row, Some("order-1")), sample(row, Some(&"f".repeat(40)))]), None);
}

#[test]
fn a_key_that_never_comes_again_is_no_symbol() {
    let with_keys = |key: fn(usize) -> String| -> Vec<Sample> {
        (0..20).map(|number| sample(r#"{"price":1,"ts":1749218401}"#, Some(&key(number)))).collect()
    };
    assert_eq!(proposed(&with_keys(|number| format!("id-{number}"))), None);
    let expected = Some(("--symbol-from key".to_owned(), 20));
    assert_eq!(proposed(&with_keys(|number| format!("S{}", number % 3))), expected);
}

#[test]
fn what_was_chosen_already_stays_also_where_a_file_said_it() {
    let chosen = MessageArgs { timestamp_from: TimestampFrom::Record, ..MessageArgs::default() };
    let file =
        MessageArgs { message_file: Some(Box::new(chosen.clone())), ..MessageArgs::default() };
    for args in [chosen, file] {
        let proposal = advise(&args, &[sample(r#"{"price":1}"#, Some("A"))], NOW).proposal.unwrap();
        assert_eq!(command_line(&proposal.args), "--symbol-from key --timestamp-from record");
    }
}

/// All notes for messages that no flags are proposed for.
fn doubts_of(args: &MessageArgs, values: &[&str]) -> String {
    let samples: Vec<Sample> = values.iter().map(|value| sample(value, None)).collect();
    let advice = advise(args, &samples, NOW);
    assert!(advice.proposal.is_none(), "{:?}", advice.proposal);
    advice.doubts.join(" ")
}

#[test]
fn the_fields_that_are_guessed_are_said_where_others_are_wanting() {
    let message =
        r#"{"code":"TSLA","paid":"159.81","lastQty":353,"venueTime":"2025-06-06 10:00:01.450"}"#;
    let doubts = doubts_of(&MessageArgs::default(), &[message]);
    assert!(
        doubts.contains("--map volume=lastQty,timestamp=venueTime: name the others"),
        "{doubts}"
    );
    let map = "price=paid".parse().ok();
    let doubts = doubts_of(&MessageArgs { map, ..MessageArgs::default() }, &[message]);
    assert!(doubts.contains("--map price=paid,volume=lastQty,timestamp=venueTime:"), "{doubts}");
}

#[test]
fn the_code_of_an_instrument_is_its_symbol() {
    let message = r#"{"instrument":{"code":"TSLA","mic":"XNAS"},"lastPx":"159.81","lastQty":353,
        "venueTime":"2025-06-06 10:00:01.450","msgKind":"TRADE","seq":1}"#;
    let expected = "--map symbol=instrument.code,price=lastPx,volume=lastQty,timestamp=venueTime \
                    --timestamp-zone America/New_York";
    assert_eq!(flags(&[message]), Some((expected.to_owned(), 1)));
}

#[test]
fn of_a_time_that_is_read_nothing_is_said_whatever_else_is_wrong() {
    let of_kind =
        |kind: &str| format!(r#"{{"type":"{kind}","symbol":"A","price":5,"ts":1749218401123}}"#);
    let conditions = "type=match".parse().ok();
    let args = MessageArgs { conditions, ..MessageArgs::default() };
    assert_eq!(doubts_of(&args, &[&of_kind("match"), &of_kind("hb"), &of_kind("hb")]), "");
    for message in [
        r#"{"symbol":"A","price":5,"volume":"1.2M","ts":1749218401123}"#,
        r#"{"e":"markPriceUpdate","E":1749218401125,"s":"BTCUSDT","p":"11794.15","T":1749225600000}"#,
        // .NET's ticks of another day: the reject names their flag.
        r#"{"symbol":"A","price":5,"ts":638748152011230000}"#,
    ] {
        let doubts = doubts_of(&MessageArgs::default(), &[message]);
        assert!(!doubts.contains("may be the time"), "{message}: {doubts}");
    }
}

#[test]
fn a_time_that_is_not_looked_at_is_named_with_flags_that_take_it() {
    let letters = r#"{"s":"AAPL","p":5.5,"v":3,"T":1749218401123}"#;
    let finnhub = MessageArgs { preset: Some(Preset::Finnhub), ..MessageArgs::default() };
    let doubts = doubts_of(&finnhub, &[letters]);
    assert!(doubts.contains("--preset finnhub --map timestamp=T takes it"), "{doubts}");
    let constant = r#"{"symbol":"A","price":5,"open_time":1749214801123}"#;
    let doubts = doubts_of(&MessageArgs::default(), &[constant]);
    assert!(doubts.contains("--map timestamp=open_time takes it"), "{doubts}");
    // By its closeness to the record's it is proposed.
    let close = constant.replace("open_time", "tm");
    assert_eq!(flags(&[&close]), Some(("--map timestamp=tm".to_owned(), 1)));
}

#[test]
fn the_record_s_time_tells_of_dotnet_s_ticks() {
    let value = r#"{"symbol":"A","price":5,"ts":638848152011230000}"#;
    let proposal = advice(&[value]).proposal.unwrap();
    assert_eq!(command_line(&proposal.args), "--timestamp-unit dotnet");
    assert!(proposal.notes[0].contains("counts in UTC"), "{:?}", proposal.notes);
}

#[test]
fn a_time_of_day_that_no_flag_reads_is_no_time_since_1970_and_never_passed_over() {
    for (times, name) in [
        (r#""trade_date":20250606,"trade_time":102035361"#, "trade_time"),
        (r#""date":20250606,"time":101540480"#, "time"),
        (r#""time":103256357"#, "time"),
        (r#""date":"2025-06-06","time":36915"#, "time"),
        (r#""date":"2025-06-06","time":36915000"#, "time"),
    ] {
        let message = format!(r#"{{"symbol":"A","price":5,"volume":3,{times}}}"#);
        let doubts = doubts_of(&MessageArgs::default(), &[&message]);
        let said = format!("{name:?} may be the time, but ");
        assert!(doubts.contains(&said), "{message}: {doubts}");
    }
    let midnight = r#"{"symbol":"A","price":5,"date":"2025-06-06","time":36915}"#;
    let yfinance = MessageArgs { preset: Some(Preset::Yfinance), ..MessageArgs::default() };
    let notes = advise(&yfinance, &[sample(midnight, None)], NOW).notes;
    assert!(notes.iter().any(|note| note.contains("36915 should be written")), "{notes:?}");
}

#[test]
fn a_number_that_is_years_before_its_record_is_said() {
    let notes =
        |time: &str| notes_of(&[&format!(r#"{{"symbol":"A","price":5,"volume":1,"ts":{time}}}"#)]);
    // Seconds since 2001, milliseconds since 2000.
    for time in ["770911201.123", "802533601123"] {
        assert!(notes(time).contains("years before those of their records"), "{time}");
    }
    for time in ["1749218401", "1702533601123", "\"1995-06-06T14:00:01Z\""] {
        assert_eq!(notes(time), "", "{time}");
    }
    // A date of today next to it makes that even surer.
    for beside in [r#""x":"2025-06-06T14:00:01Z""#, r#""day":"2025-06-06""#] {
        let said = notes(&format!("770911201.123,{beside}"));
        assert!(said.contains("years before those of their records"), "{beside}: {said}");
    }
}

#[test]
fn what_says_that_it_is_a_book_or_an_order_is_not_proposed_and_said() {
    let fields = r#""symbol":"A","price":5.5,"ts":1749218401123"#;
    for said in [
        r#""topic":"quotes""#,
        r#""topic":"marketByOrder""#,
        r#""channel":"level3""#,
        r#""channel":"order_update""#,
        r#""topic":"order_book""#,
        r#""channel":"orders""#,
        r#""arg":{"channel":"orders"}"#,
    ] {
        for data in [format!("{{{fields}}}"), format!("[{{{fields}}}]")] {
            let doubts =
                doubts_of(&MessageArgs::default(), &[&format!(r#"{{{said},"data":{data}}}"#)]);
            assert!(doubts.contains("are no trades"), "{said}: {doubts}");
        }
        let inside = format!(r#"{{{said},"body":{{{fields}}}}}"#);
        let doubts = doubts_of(&MessageArgs::default(), &[&inside]);
        assert!(doubts.contains("are no trades"), "{said}: {doubts}");
        let flat = notes_of(&[&format!("{{{said},{fields}}}")]);
        assert!(flat.contains("may be orders, quotes or levels"), "{said}: {flat}");
    }
    let offers = r#"{"symbol":"A","ts":1749218401123,"offers":[{"price":6,"size":3}],"demand":[{"price":5,"size":2}]}"#;
    let doubts = doubts_of(&MessageArgs::default(), &[offers]);
    assert!(doubts.contains("offers") && doubts.contains("demand"), "{doubts}");
}

#[test]
fn the_side_of_a_trade_is_never_its_symbol() {
    let trade = r#"{"result":{"instrument_name":"BTCUSD-PERP","channel":"trade","data":[{"d":"4611","t":1749218401123,
        "q":"0.1000","p":"50772.00","s":"SELL","i":"BTCUSD-PERP"}]}}"#;
    let expected = "--map symbol=instrument_name,price=p,volume=q,timestamp=t --each result.data";
    assert_eq!(flags(&[trade]), Some((expected.to_owned(), 1)));
    let by_side = r#"{"symbol":"SELL","price":1,"volume":1,"ts":1749218401123}"#;
    assert!(notes_of(&[by_side]).contains("Symbols are buy and sell"));
}

#[test]
fn of_kinds_a_trade_is_named_or_what_most_say_and_otherwise_no_one() {
    let notes = |member: &str, values: &[&str]| {
        let of = |value: &&str| {
            format!(
                r#"{{"{member}":"{value}","symbol":"A","price":1,"volume":1,"ts":1749218401123}}"#
            )
        };
        let messages: Vec<String> = values.iter().map(of).collect();
        notes_of(&messages.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for (member, values, said) in [
        ("type", &["bid", "trade", "ask"][..], "--where type=trade"),
        ("topic", &["trades", "news", "trades"], "--where topic=trades"),
        ("kind", &["BID", "ASK", "TRADE"], "--where kind=TRADE"),
        ("type", &["buy", "cancel", "sell"], "--where 'type=buy|sell'"),
        ("type", &["bid", "ask"], "--where type=VALUE"),
        ("type", &["NEW", "NEW", "NEW", "CANCEL", "CORRECTION"], "--where type=NEW"),
        ("action", &["snapshot", "update", "update"], "--where action=update"),
        ("type", &["stock", "etf"], "--where type=VALUE"),
        ("_fivetran_deleted", &["true", "false"], "--where _fivetran_deleted=false"),
    ] {
        let notes = notes(member, values);
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn what_a_symbol_or_every_message_says_alike_tells_no_kinds() {
    let of = |symbol: &str, exchange: &str| {
        format!(
            r#"{{"channel":"{exchange}","symbol":"{symbol}","price":1,"volume":1,"ts":1749218401123}}"#
        )
    };
    let (one, other) = (of("A", "nyse"), of("B", "nasdaq"));
    assert_eq!(notes_of(&[&one, &other, &one, &other]), "");
    let moved = of("A", "nasdaq");
    assert!(notes_of(&[&one, &other, &moved, &other]).contains("channel says"));
    let ticker = r#"{"channel":"ticker","events":[{"type":"update","tickers":[{"type":"ticker","product_id":"B","price":"1",
        "volume":"1","time":"2025-06-06T14:00:01Z"}]}]}"#;
    let notes = notes_of(&[ticker, ticker]);
    assert!(!notes.contains("type says"), "{notes}");
}

#[test]
fn a_volume_is_named_only_where_it_is_the_tick_s() {
    let with = |member: &str| format!(r#"{{"symbol":"A","ts":1749218401123,"price":5,{member}}}"#);
    let legs = with(r#""legs":[{"price":6,"qty":3}]"#);
    assert!(!notes_of(&[&legs]).contains("--map volume"));
    let inside = with(r#""detail":{"qty":3}"#);
    assert!(notes_of(&[&inside]).contains("--map volume=detail.qty"));
    let map = "volume=detail.qty".parse().ok();
    let mapped = MessageArgs { map, ..MessageArgs::default() };
    assert_eq!(advise(&mapped, &[sample(&inside, None)], NOW).notes, [""; 0]);
    let correction = with(r#""q":8"#);
    let map = "correction=q".parse().ok();
    let mapped = MessageArgs { map, ..MessageArgs::default() };
    assert_eq!(advise(&mapped, &[sample(&correction, None)], NOW).notes, [""; 0]);
}

#[test]
fn several_values_in_a_message_are_said() {
    let line = |symbol: &str| {
        format!(r#"{{"symbol":"{symbol}","price":5,"volume":1,"ts":1749218401123}}"#)
    };
    let lines = format!("{}\n{}", line("A"), line("B"));
    assert!(notes_of(&[&lines]).contains("hold several values"));
    assert_eq!(notes_of(&[&line("A")]), "");
    let letters = r#"{"s":"A","p":1,"v":1,"t":1749218401123}"#;
    let lines = format!("{letters}\n{letters}");
    assert!(notes_of(&[&lines]).contains("hold several values"));
    assert_eq!(flags(&[&lines]), flags(&[letters]));
}

#[test]
fn symbols_that_are_in_keys_where_no_member_has_them_are_found() {
    let by_key = |symbol: &str| sample(r#"{"price":5,"ts":1749218401123}"#, Some(symbol));
    let samples = [by_key("MSFT"), sample(GOOD, None), by_key("TSLA")];
    let expected = Some(("--symbol-from value-or-key".to_owned(), 3));
    assert_eq!(proposed(&samples), expected);
}

#[test]
fn no_preset_is_proposed_for_a_volume_that_it_does_not_look_at() {
    for volume in [r#""4,599""#, r#""0.81M""#, r#""-""#, "-1"] {
        let message = format!(
            r#"{{"symbol":"AAPL","price":"283.58","volume":{volume},"timestamp":"2025-06-06T14:00:01Z"}}"#
        );
        let doubts = doubts_of(&MessageArgs::default(), &[&message]);
        let said = format!("{volume} is none that is read: --map volume=none takes");
        assert!(doubts.contains(&said), "{doubts}");
    }
}

#[test]
fn a_symbol_in_the_message_goes_before_the_key() {
    let streamer = r#"{"id":"MSFT","price":718.57,"time":"1749218401123","last_size":"915"}"#;
    let expected = Some(("--preset yfinance".to_owned(), 1));
    assert_eq!(proposed(&[sample(streamer, Some("MSFT"))]), expected);
}

#[test]
fn flags_that_are_wrong_are_said_with_what_would_do_without_them() {
    let binance = r#"{"e":"trade","s":"A","p":"1","q":"0.5","t":1,"T":1749218401123}"#;
    let plain = r#"{"symbol":"A","price":1,"ts":1749218401123}"#;
    for (preset, message, instead) in [
        (Preset::Kraken, binance, "with --preset binance in place of --preset kraken"),
        (Preset::Binance, plain, "with none at all in place of --preset binance"),
    ] {
        let args = MessageArgs { preset: Some(preset), ..MessageArgs::default() };
        let doubts = doubts_of(&args, &[message]);
        assert!(doubts.contains(&format!("1 of 1 messages are ticks {instead}")), "{doubts}");
    }
}

#[test]
fn a_map_is_completed_and_what_it_says_is_not_asked_again() {
    let sale = r#"{"symbol":"A","lastSalePrice":1.5,"lastSaleSize":2,"lastSaleTime":1749218401123,
        "lastUpdated":1749218401124}"#;
    let map = "timestamp=lastSaleTime,volume=lastSaleSize".parse().ok();
    let args = MessageArgs { map, ..MessageArgs::default() };
    let advice = advise(&args, &[sample(sale, None)], NOW);
    let expected = "--map timestamp=lastSaleTime,volume=lastSaleSize,price=lastSalePrice";
    assert_eq!(command_line(&advice.proposal.unwrap().args), expected);
    assert_eq!(advice.doubts, [""; 0]);
    let unpriced = sale.replace("lastSalePrice", "x");
    let doubts = doubts_of(&args, &[&unpriced]);
    assert!(!doubts.contains("timestamp may be"), "{doubts}");
}

#[test]
fn prices_of_zero_are_no_reason_to_take_such() {
    for none in ["0.0", "-1", "-1.0"] {
        let unset =
            format!(r#"{{"symbol":"A","last":{none},"bid":1.1,"ask":1.2,"ts":1749218401123}}"#);
        assert_eq!(flags(&[&unset, &unset]), None, "{none}");
    }
    let unset = r#"{"symbol":"A","last":201.5,"open":0,"close":0,"high":0,"low":0,"volume":3,"ts":1749218401123}"#;
    assert_eq!(flags(&[unset]), Some(("--map price=last".to_owned(), 1)));
}

/// Flags are found for 28 of 30 shapes that need them: the others have names in another language,
/// or `name`.
#[test]
fn the_flags_of_most_public_shapes_are_found() {
    let lines = include_str!("../../../../service/src/cli/messages/shapes.jsonl").lines();
    let shapes = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut missed = Vec::new();
    for shape in shapes.filter(|shape| shape["tick"].is_string() && shape["flags"].is_array()) {
        let (value, key) = (shape["value"].as_str().unwrap(), shape["key"].as_str());
        // The proposal with a flag for each thing is taken of two equivalent ones.
        let flags = shape["also"].as_array().or(shape["flags"].as_array());
        let flags = flags.unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned());
        let flags: Vec<String> = flags.collect();
        let of = |topic: &str| Sample { topic: topic.to_owned(), ..sample(value, key) };
        let samples = match shape["topic"].as_str() {
            Some(topic) => vec![of(topic), of("MSFT")],
            None => vec![of("stock_prices")],
        };
        let Some(proposal) = advise(&MessageArgs::default(), &samples, NOW).proposal else {
            missed.push(flags.join(" "));
            continue;
        };
        // Whose zone it is nobody but a person knows.
        let names = |flags: Vec<String>| -> HashSet<String> {
            let name = |flag: &String| {
                flag.trim_start_matches("--").split(['=', ' ']).next().map(str::to_owned)
            };
            flags.iter().filter_map(name).collect()
        };
        let found = proposal.args.flags().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names(found), names(flags), "{value}");
    }
    assert_eq!(
        missed,
        [
            "--each=tickers --map=symbol=name --timestamp-from=record",
            "--map=price=preco,volume=quantidade --timestamp-from=record",
        ]
    );
}
