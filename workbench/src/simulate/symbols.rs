//! The symbols of the simulated market.

use std::collections::HashSet;

/// Tickers that a reader knows, of every form that the pipeline takes, with prices as they might
/// be.
const KNOWN: &str = "\
    AAPL 230  MSFT 430  NVDA 130  AMZN 200  GOOGL 175  META 600  TSLA 300  AVGO 230  JPM 260 \
    LLY 780  V 340  XOM 110  UNH 310  MA 540  COST 950  HD 370  PG 160  JNJ 155  NFLX 1150 \
    WMT 97  BRK-B 490  ABBV 185  CRM 260  BAC 46  ORCL 200  MRK 80  CVX 150  KO 70  AMD 140 \
    PEP 132  ADBE 380  LIN 460  TMO 410  CSCO 66  MCD 300  ACN 310  ABT 132  WFC 75  IBM 260 \
    GE 240  INTC 22  DIS 115  SPY 600  QQQ 530  ^GSPC 5900  BTC-USD 95000  7203.T 2700 \
    NASDAQ:PDD 110 \
    ";

const LETTERS: usize = 26;
const FOUR_LETTERS: usize = LETTERS.pow(4);

/// The most symbols there are: more than any exchange lists.
pub const MOST: usize = 100_000;

/// The known ones with their prices.
fn known() -> impl Iterator<Item = (&'static str, Option<f64>)> {
    let mut words = KNOWN.split_whitespace();
    std::iter::from_fn(move || Some((words.next()?, words.next()?.parse().ok())))
}

/// `count` different symbols: well-known ones first, with what they might cost, then made-up ones
/// of four letters.
pub fn symbols(count: usize) -> Vec<(String, Option<f64>)> {
    let names: HashSet<&str> = known().map(|(symbol, _)| symbol).collect();
    let made_up = (0..FOUR_LETTERS).map(made_up).filter(|symbol| !names.contains(symbol.as_str()));
    let known = known().map(|(symbol, price)| (symbol.to_owned(), price));
    known.chain(made_up.map(|symbol| (symbol, None))).take(count).collect()
}

/// A prime step walks through all four-letter words without a repetition.
fn made_up(number: usize) -> String {
    let mut word = number * 100_003 % FOUR_LETTERS;
    let mut letters = String::with_capacity(4);
    for _ in 0..4 {
        letters.push(char::from(b'A' + u8::try_from(word % LETTERS).unwrap_or_default()));
        word /= LETTERS;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_symbol_comes_twice() {
        let all = symbols(MOST);
        assert_eq!(all.len(), MOST);
        assert_eq!(all.iter().map(|(symbol, _)| symbol).collect::<HashSet<_>>().len(), MOST);
        assert_eq!(all[0], ("AAPL".to_owned(), Some(230.0)));
        assert_eq!(all[47], ("NASDAQ:PDD".to_owned(), Some(110.0)));
        assert!(all.iter().position(|(_, price)| price.is_none()) == Some(48));
    }
}
