//! The symbols of the simulated market.

use std::collections::HashSet;

/// Tickers that a reader knows, of every form that the pipeline takes, with prices as they might
/// be.
const KNOWN: [(&str, f64); 48] = [
    ("AAPL", 230.0),
    ("MSFT", 430.0),
    ("NVDA", 130.0),
    ("AMZN", 200.0),
    ("GOOGL", 175.0),
    ("META", 600.0),
    ("TSLA", 300.0),
    ("AVGO", 230.0),
    ("JPM", 260.0),
    ("LLY", 780.0),
    ("V", 340.0),
    ("XOM", 110.0),
    ("UNH", 310.0),
    ("MA", 540.0),
    ("COST", 950.0),
    ("HD", 370.0),
    ("PG", 160.0),
    ("JNJ", 155.0),
    ("NFLX", 1_150.0),
    ("WMT", 97.0),
    ("BRK-B", 490.0),
    ("ABBV", 185.0),
    ("CRM", 260.0),
    ("BAC", 46.0),
    ("ORCL", 200.0),
    ("MRK", 80.0),
    ("CVX", 150.0),
    ("KO", 70.0),
    ("AMD", 140.0),
    ("PEP", 132.0),
    ("ADBE", 380.0),
    ("LIN", 460.0),
    ("TMO", 410.0),
    ("CSCO", 66.0),
    ("MCD", 300.0),
    ("ACN", 310.0),
    ("ABT", 132.0),
    ("WFC", 75.0),
    ("IBM", 260.0),
    ("GE", 240.0),
    ("INTC", 22.0),
    ("DIS", 115.0),
    ("SPY", 600.0),
    ("QQQ", 530.0),
    ("^GSPC", 5_900.0),
    ("BTC-USD", 95_000.0),
    ("7203.T", 2_700.0),
    ("NASDAQ:PDD", 110.0),
];

const LETTERS: usize = 26;
const FOUR_LETTERS: usize = LETTERS.pow(4);

/// The most symbols there are: more than any exchange lists.
pub const MOST: usize = 100_000;

/// `count` different symbols: well-known ones first, with what they might cost, then made-up ones
/// of four letters.
pub fn symbols(count: usize) -> Vec<(String, Option<f64>)> {
    let known: HashSet<&str> = KNOWN.iter().map(|(symbol, _)| *symbol).collect();
    let made_up = (0..FOUR_LETTERS).map(made_up).filter(|symbol| !known.contains(symbol.as_str()));
    let known = KNOWN.iter().map(|(symbol, price)| ((*symbol).to_owned(), Some(*price)));
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
        assert_eq!(all[0].0, "AAPL");
    }
}
