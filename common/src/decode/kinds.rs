//! Which kind a message is of: what its own members, or those around it, say where a condition
//! asks.

use super::mapping::Condition;
use super::members::any_member;
use super::values::plain_text;
use crate::reject::{Reason, Reject, excerpt};
use serde_json::value::RawValue;

impl Condition {
    /// The member that it asks, in this object; `None` where there is none, or null.
    pub(super) fn find<'a>(&self, object: &'a str) -> Result<Option<&'a RawValue>, Reject> {
        let (mut text, mut found) = (object, None);
        for name in self.path.names() {
            if !text.trim_ascii_start().starts_with('{') {
                return Ok(None);
            }
            let Some(raw) = any_member(text, name)? else {
                return Ok(None);
            };
            (text, found) = (raw.get(), Some(raw));
        }
        Ok(found.filter(|raw| raw.get() != "null"))
    }

    /// Checks the `value` at the path: whether the message is of a kind that is meant.
    pub(super) fn check(&self, value: Option<&RawValue>) -> Result<(), Reject> {
        let reject = |detail| Err(Reject::new(Reason::OtherKind, detail));
        match value {
            Some(raw) if self.holds(raw) => Ok(()),
            None if self.is_optional => Ok(()),
            None => reject(format!(
                "there is no {}: taken are messages with {self} (--where)",
                self.path
            )),
            Some(raw) => {
                let (path, value) = (&self.path, excerpt(raw.get()));
                reject(format!(
                    "{path} is {value}: taken are messages with {self} (--where, --preset)"
                ))
            }
        }
    }

    /// Whether `raw` is one of its values.
    pub(super) fn holds(&self, raw: &RawValue) -> bool {
        let is_one = |text: &str| self.values.iter().any(|value| value == text);
        match plain_text(raw) {
            Some(text) => is_one(text),
            None if raw.get().starts_with('"') => {
                serde_json::from_str::<String>(raw.get()).is_ok_and(|text| is_one(&text))
            }
            None => is_one(raw.get()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);

    fn rules(preset: Option<Preset>, kinds: &str) -> Rules {
        let Conditions(mut conditions) =
            if kinds.is_empty() { Conditions::default() } else { kinds.parse().unwrap() };
        conditions.extend(preset.into_iter().flat_map(Preset::conditions));
        let mapping = Mapping::new(&preset.map_or_else(Vec::new, |preset| preset.entries().paths));
        Rules { mapping, conditions, each: preset.and_then(Preset::each), ..Rules::default() }
    }

    /// The reasons of a message's elements, `tick` for those that are one; by both paths, one after
    /// the other.
    fn read(decoder: &mut Decoder, value: &str) -> Vec<&'static str> {
        let text = |element: &super::super::Element<'_>| match &element.read {
            Ok(_) => "tick",
            Err(reject) => reject.reason.as_str(),
        };
        let (mut strict, mut fast) = (Vec::new(), Vec::new());
        let whole = decoder.decode_each_strictly(
            value.as_bytes(),
            &RecordContext::NOTHING,
            &mut |element| strict.push(text(&element)),
        );
        strict.extend(whole.err().map(|reject| reject.reason.as_str()));
        for _ in 0..2 {
            fast.clear();
            let known = decoder.decode_known(value.as_bytes(), &RecordContext::NOTHING).is_some();
            assert!(!known || strict == ["tick"], "{value}");
            let whole =
                decoder.decode_each(value.as_bytes(), &RecordContext::NOTHING, &mut |element| {
                    fast.push(text(&element))
                });
            fast.extend(whole.err().map(|reject| reject.reason.as_str()));
            assert_eq!(fast, strict, "{value}");
        }
        strict
    }

    #[test]
    fn a_preset_takes_no_message_of_another_kind() {
        for (preset, tick, others) in [
            (
                Preset::Binance,
                r#"{"e":"trade","s":"BTCUSDT","p":"11794.15","q":"0.5","T":1749225600000}"#,
                &["\"markPriceUpdate\"", "\"24hrTicker\"", "5"][..],
            ),
            (
                Preset::Alpaca,
                r#"{"T":"t","S":"AAPL","p":126.55,"s":1,"t":"2025-06-06T14:00:01Z"}"#,
                &["\"x\"", "\"q\""],
            ),
            (
                Preset::Coinbase,
                r#"{"type":"match","product_id":"BTC-USD","price":"1.5","size":"0.5","time":"2025-06-06T14:00:01Z"}"#,
                &["\"received\"", "\"open\"", "\"done\"", "\"change\"", "\"last_match\""],
            ),
        ] {
            let mut decoder = Decoder::new(rules(Some(preset), ""), NOW);
            assert_eq!(read(&mut decoder, tick), ["tick"]);
            let (member, kind) = tick[1..tick.find(',').unwrap()].split_once(':').unwrap();
            for other in others {
                let value = tick.replacen(kind, other, 1);
                assert_eq!(read(&mut decoder, &value), ["other_kind"], "{value}");
                assert_eq!(
                    read(&mut decoder, &format!("[{tick},{value}]")),
                    ["tick", "other_kind"]
                );
            }
            // A message that does not give its kind may be one: feeds are forwarded in many ways.
            assert_eq!(read(&mut decoder, &tick.replacen(member, "\"x\"", 1)), ["tick"]);
            assert_eq!(read(&mut decoder, &tick.replacen(kind, "null", 1)), ["tick"]);
        }
    }

    #[test]
    fn the_kind_may_stand_around_the_elements_and_the_nearest_counts() {
        let mut decoder = Decoder::new(rules(Some(Preset::Kraken), ""), NOW);
        let of = |channel: &str, own: &str| {
            let trade = format!(
                r#"{{{own}"symbol":"X","price":1.5,"qty":1,"timestamp":"2025-06-06T14:00:01Z"}}"#
            );
            format!(r#"{{"channel":"{channel}","data":[{trade},{trade}]}}"#)
        };
        assert_eq!(read(&mut decoder, &of("trade", "")), ["tick", "tick"]);
        assert_eq!(read(&mut decoder, &of("book", "")), ["other_kind", "other_kind"]);
        assert_eq!(read(&mut decoder, &of("book", r#""channel":"trade","#)), ["tick", "tick"]);
        assert_eq!(
            read(&mut decoder, &of("trade", r#""channel":"book","#)),
            ["other_kind", "other_kind"]
        );
    }

    /// Kraken begins each subscription with a snapshot of its last trades.
    #[test]
    fn trades_that_are_sent_again_are_no_ticks() {
        let mut decoder = Decoder::new(rules(Some(Preset::Kraken), ""), NOW);
        let of = |channel: &str, kind: &str| {
            let trade = r#"{"symbol":"X","price":1.5,"qty":1,"trade_id":1,
                "timestamp":"2025-06-06T14:00:01Z"}"#;
            format!(r#"{{"channel":"{channel}",{kind}"data":[{trade}]}}"#)
        };
        for channel in ["trade", "ticker"] {
            let of = |kind| of(channel, kind);
            assert_eq!(read(&mut decoder, &of(r#""type":"snapshot","#)), ["other_kind"]);
            assert_eq!(read(&mut decoder, &of(r#""type":"update","#)), ["tick"]);
            assert_eq!(read(&mut decoder, &of("")), ["tick"]);
            assert_eq!(read(&mut decoder, &of(r#""type":"snapshot","#)), ["other_kind"]);
        }
        assert_eq!(read(&mut decoder, &of("book", r#""type":"update","#)), ["other_kind"]);
    }

    #[test]
    fn what_was_asked_for_must_be_there() {
        let mut decoder = Decoder::new(rules(None, "data.type=match|\"last match\",v=1"), NOW);
        let of = |kind: &str, v: &str| {
            format!(
                r#"{{"symbol":"A","price":1,"ts":1749218401123,"data":{{"type":{kind}}},"v":{v}}}"#
            )
        };
        for (kind, v, expected) in [
            ("\"match\"", "1", "tick"),
            ("\"last\\u0020match\"", "\"1\"", "tick"),
            ("\"match\"", "2", "other_kind"),
            ("\"ticker\"", "1", "other_kind"),
            ("null", "1", "other_kind"),
            ("[\"match\"]", "1", "other_kind"),
        ] {
            assert_eq!(read(&mut decoder, &of(kind, v)), [expected], "{kind} {v}");
        }
        assert_eq!(
            read(&mut decoder, r#"{"symbol":"A","price":1,"ts":1749218401123,"v":1}"#),
            ["other_kind"]
        );
        let twice = of("\"match\"", "1").replace("\"v\":1", "\"v\":1,\"v\":2");
        assert_eq!(read(&mut decoder, &twice), ["other_kind"], "of two the last counts");
    }

    /// A member that varies, and tells the kind.
    #[test]
    fn a_symbol_may_be_the_kind() {
        let mut decoder = Decoder::new(rules(None, "symbol=A|B"), NOW);
        for (symbol, expected) in [("A", "tick"), ("B", "tick"), ("C", "other_kind"), ("A", "tick")]
        {
            let value = format!(r#"{{"symbol":"{symbol}","price":1,"ts":1749218401123}}"#);
            assert_eq!(read(&mut decoder, &value), [expected]);
        }
    }

    #[test]
    fn the_fast_path_takes_the_next_of_a_kind_that_it_has_seen() {
        let mut decoder = Decoder::new(rules(Some(Preset::Binance), ""), NOW);
        let of = |kind: &str, price: &str| {
            format!(r#"{{"e":"{kind}","s":"A","p":"{price}","q":"0.5","T":1749225600000}}"#)
        };
        read(&mut decoder, &of("trade", "1.5"));
        assert!(
            decoder.decode_known(of("trade", "2.25").as_bytes(), &RecordContext::NOTHING).is_some()
        );
        assert!(
            decoder.decode_known(of("other", "2.25").as_bytes(), &RecordContext::NOTHING).is_none()
        );
    }
}
