//! [`Symbol`] and [`SymbolMap`]: symbols that are told apart by one word instead of a comparison of
//! texts.

use rustc_hash::FxHashMap;

/// The longest symbol, in bytes.
pub const MAX_SYMBOL_BYTES: usize = 64;

/// The longest symbol that its word tells whole.
const SHORT: usize = 8;

/// A symbol of 1 to 64 bytes: printable characters of any script, without blanks at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    text: &'a str,
    /// The first eight bytes, the first of them lowest, and zeros where there are fewer.
    word: u64,
}

impl<'a> Symbol<'a> {
    /// `None` where `text` is no symbol.
    #[must_use]
    pub fn new(text: &'a str) -> Option<Self> {
        let right_length = (1..=MAX_SYMBOL_BYTES).contains(&text.len());
        (right_length && is_printable(text)).then(|| Self { text, word: word_of(text.as_bytes()) })
    }

    /// The symbol that `bytes` begin with, up to a quote; `None` where it is none, or written with
    /// escapes.
    #[inline(always)]
    pub(crate) fn at_front(bytes: &'a [u8]) -> Option<Self> {
        let word =
            bytes.first_chunk().map_or_else(|| word_of(bytes), |first| u64::from_le_bytes(*first));
        let len = usual_len(word);
        // Nearly all are short, of the usual bytes and end with a quote: then nothing has to be
        // looked at one by one.
        if (1..SHORT).contains(&len) && bytes.get(len) == Some(&b'"') {
            // SAFETY: `word` is the beginning of `bytes`, and all of its `len` bytes are ASCII. The
            // check would be a twelfth of the time that a line takes (docs/benchmarks.md).
            #[allow(unsafe_code)]
            let text = unsafe { str::from_utf8_unchecked(&bytes[..len]) };
            return Some(Self { text, word: word & ((1 << (8 * len)) - 1) });
        }
        Self::unusual_at_front(bytes)
    }

    fn unusual_at_front(bytes: &'a [u8]) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(MAX_SYMBOL_BYTES + 1)];
        let len = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if bytes[len] == b'"' { Self::new(str::from_utf8(&bytes[..len]).ok()?) } else { None }
    }

    /// The symbol's text.
    #[must_use]
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.text
    }
}

/// The first eight of `bytes` as a word, the first of them lowest; zeros where there are fewer.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; SHORT];
    let len = bytes.len().min(SHORT);
    word[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(word)
}

/// How many of a word's lowest bytes are of those that nearly all symbols are made of: A-Z, 0-9
/// and - . / :
#[inline(always)]
fn usual_len(word: u64) -> usize {
    const fn all(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const HIGH: u64 = all(0x80);
    // Added to a byte below 0x80, 0x80 - n carries into the byte's highest bit where that is n or
    // more, and no further.
    let low = word & !HIGH;
    let from = |byte: u8| low + all(0x80 - byte);
    let letters = from(b'A') & !from(b'Z' + 1);
    // '-' to ':' is one range of ASCII, with the digits in it.
    let others = from(b'-') & !from(b':' + 1);
    let unusual = !(letters | others) & HIGH | (word & HIGH);
    unusual.trailing_zeros() as usize / 8
}

pub(crate) fn is_printable(text: &str) -> bool {
    let has_ends = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    !has_ends && !text.chars().any(is_invisible)
}

/// Control characters, those that change what is seen of the others, and those of which nothing is
/// seen or nobody knows what.
pub(crate) fn is_invisible(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    is_ignorable(character) || (!character.is_whitespace() && is_without_glyph(character))
}

/// Fillers, selectors and blanks that count as letters and marks.
fn is_ignorable(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2028}' | '\u{2029}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{ffff}' | '\u{13441}' | '\u{13442}' | '\u{16fe4}' | '\u{1d159}'
        | '\u{e0000}'..='\u{e0fff}')
        || character.is_control()
}

/// Format controls, characters of private use, and what Unicode has given to none: these are what
/// `str::escape_debug` escapes after another character. There it leaves combining marks as they
/// are.
fn is_without_glyph(character: char) -> bool {
    let mut bytes = [b'a'; 5];
    let length = character.encode_utf8(&mut bytes[1..]).len();
    let text = str::from_utf8(&bytes[..=length]);
    text.is_ok_and(|text| text.escape_debug().nth(1) == Some('\\'))
}

/// Values by symbol. Looking up a symbol of up to eight bytes, as nearly all are, takes no loop
/// over its text.
#[derive(Debug, Clone)]
pub struct SymbolMap<V> {
    short: FxHashMap<u64, (Box<str>, V)>,
    long: FxHashMap<Box<str>, V>,
}

impl<V> Default for SymbolMap<V> {
    fn default() -> Self {
        Self { short: FxHashMap::default(), long: FxHashMap::default() }
    }
}

impl<V> SymbolMap<V> {
    /// The value of a symbol, if it has one.
    #[inline]
    pub fn get_mut(&mut self, symbol: Symbol<'_>) -> Option<&mut V> {
        match symbol.text.len() {
            0..=SHORT => self.short.get_mut(&symbol.word).map(|(_, value)| value),
            _ => self.long.get_mut(symbol.text),
        }
    }

    /// Puts a value in the place of the one that the symbol had, if any.
    pub fn insert(&mut self, symbol: Symbol<'_>, value: V) {
        match symbol.text.len() {
            0..=SHORT => drop(self.short.insert(symbol.word, (symbol.text.into(), value))),
            _ => drop(self.long.insert(symbol.text.into(), value)),
        }
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol<'_>, &V)> {
        let short = self.short.values().map(|(text, value)| (&**text, value));
        let all = short.chain(self.long.iter().map(|(text, value)| (&**text, value)));
        all.map(|(text, value)| (Symbol { text, word: word_of(text.as_bytes()) }, value))
    }

    /// How many symbols have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all of them; memory is kept.
    pub fn clear(&mut self) {
        self.short.clear();
        self.long.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn the_symbol_at_the_front_ends_with_a_quote(text in "[A-Za-z0-9.^ \
            &ä\u{200b}\n-]{0,70}", after in "(\"|\\\\|)[ -~]{8}") {
            let bytes = format!("{text}{after}");
            let expected = if after.starts_with('"') { Symbol::new(&text) } else { None };
            prop_assume!(after.starts_with(['"', '\\']));
            prop_assert_eq!(Symbol::at_front(bytes.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_may_follow_a_symbol(text in "[A-Z]{1,7}", after: [u8; 8]) {
            let bytes = [text.as_bytes(), &after].concat();
            let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')).filter(|end| bytes[*end] == b'"');
            let expected = end.and_then(|end| Symbol::new(str::from_utf8(&bytes[..end]).ok()?));
            prop_assert_eq!(Symbol::at_front(&bytes), expected);
        }

        #[test]
        fn a_map_tells_every_two_symbols_apart(texts in proptest::collection::vec("[AB]{1,3}|[AB]{7,10}|AAAAAAAA[AB]{0,2}", 0..60)) {
            let (mut map, mut model) = (SymbolMap::default(), HashMap::new());
            for text in &texts {
                let symbol = Symbol::new(text).unwrap();
                match map.get_mut(symbol) {
                    Some(count) => *count += 1,
                    None => map.insert(symbol, 1),
                }
                *model.entry(text.as_str()).or_insert(0) += 1;
            }
            prop_assert_eq!(map.len(), model.len());
            prop_assert!(map.iter().all(|(symbol, count)| model[symbol.as_str()] == *count));
        }
    }

    #[test]
    fn a_symbol_is_printable_and_of_at_most_64_bytes() {
        let longest = "A".repeat(MAX_SYMBOL_BYTES);
        // Composed and decomposed letters are both printable, and two symbols.
        for text in [
            &*longest,
            "\u{c4}",
            "A\u{308}",
            "M&M.NS",
            "NIFTY 50",
            "AAPL  250620C00200000",
            "#+@",
            "Ä",
            "贵州茅台",
            "𠮷野家",
            "₿🚀",
            "क्षि",
            "A\u{a0}B",
            "A\u{3000}B",
            "O\"R",
            "a\\b",
        ] {
            assert_eq!(Symbol::new(text).map(Symbol::as_str), Some(text), "{text}");
        }
        let too_long = "ä".repeat(MAX_SYMBOL_BYTES / 2 + 1);
        for text in [
            "",
            &too_long,
            " A",
            "A ",
            "A\n",
            "a\0b",
            "A\u{200b}",
            "A\u{202e}B",
            "\u{feff}A",
            "A\u{85}B",
            "A\u{2066}B",
            "A\u{34f}",
            "A\u{2800}",
            "A\u{3164}B",
            "A\u{fe0f}",
            "A\u{e0100}",
            // Fillers and blanks that are letters, marks or signs.
            "A\u{115f}",
            "A\u{16fe4}",
            "A\u{1d159}",
            "A\u{13441}",
            // Format controls, in the first plane and beyond.
            "A\u{ad}B",
            "A\u{13430}B",
            "A\u{1bca0}B",
            "A\u{1d173}B",
            // Noncharacters, of private use, and given to no character.
            "A\u{fdd0}",
            "A\u{1fffe}",
            "A\u{10ffff}",
            "A\u{e000}",
            "A\u{378}",
            "A\u{3ffff}",
        ] {
            assert_eq!(Symbol::new(text), None, "{text:?}");
        }
    }
}
