use std::collections::HashSet;

/// Tickers that a reader knows, of every form that the pipeline takes.
const KNOWN: [&str; 48] = [
    "AAPL",
    "MSFT",
    "NVDA",
    "AMZN",
    "GOOGL",
    "META",
    "TSLA",
    "AVGO",
    "JPM",
    "LLY",
    "V",
    "XOM",
    "UNH",
    "MA",
    "COST",
    "HD",
    "PG",
    "JNJ",
    "NFLX",
    "WMT",
    "BRK-B",
    "ABBV",
    "CRM",
    "BAC",
    "ORCL",
    "MRK",
    "CVX",
    "KO",
    "AMD",
    "PEP",
    "ADBE",
    "LIN",
    "TMO",
    "CSCO",
    "MCD",
    "ACN",
    "ABT",
    "WFC",
    "IBM",
    "GE",
    "INTC",
    "DIS",
    "SPY",
    "QQQ",
    "^GSPC",
    "BTC-USD",
    "7203.T",
    "NASDAQ:PDD",
];

const LETTERS: usize = 26;
const FOUR_LETTERS: usize = LETTERS.pow(4);

/// The most symbols there are: more than any exchange lists.
pub const MOST: usize = 100_000;

/// `count` different symbols: well-known ones first, then made-up ones of four letters.
pub fn symbols(count: usize) -> Vec<String> {
    let known: HashSet<&str> = KNOWN.into();
    let made_up = (0..FOUR_LETTERS).map(made_up).filter(|symbol| !known.contains(symbol.as_str()));
    KNOWN.iter().map(|symbol| (*symbol).to_owned()).chain(made_up).take(count).collect()
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
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), MOST);
        assert_eq!(all[0], "AAPL");
    }
}
