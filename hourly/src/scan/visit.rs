//! [`visit()`]: an object's bytes as ticks and rejected lines, one after the other.

use super::elements::{self, Elements};
use super::envelope::{Envelope, is_surely_one};
use super::line::{Line, LineTaker, Source};
use super::lines::Lines;
use super::{ScanOptions, decompress, values};
use common::decode::{DecodedTick, Decoder, Element, MAX_VALUE_BYTES, Provenance, RecordContext};
use common::{Reason, Reject};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::io::{self, ErrorKind, Read};
use std::iter;
use std::sync::Arc;

/// Where in an object a tick stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinePosition {
    /// Which of its line's elements it is.
    pub element: u16,
    /// How many messages lie before its own at least, and which of its message's ticks it is: for
    /// the order alone.
    pub order: (u64, u16),
}

/// What is made of an object's lines, one after the other.
pub trait Visitor {
    /// A tick.
    fn record(&mut self, record: &DecodedTick<'_>, position: LinePosition);

    /// A line that is no tick, or the element `element` of one.
    fn reject(&mut self, line: &Line<'_>, element: u16, reject: Reject);

    /// Whether it wants no more lines.
    fn has_enough(&self) -> bool {
        false
    }
}

/// Shows an object's lines to `visitor`.
///
/// # Errors
/// Where reading or decompressing fails; what `visitor` has seen is then a part of the object.
pub fn visit(
    input: impl Read,
    options: &ScanOptions,
    visitor: &mut impl Visitor,
) -> io::Result<()> {
    let mut reading = ObjectReading::new(options, visitor);
    let content = decompress::open(input, options)?;
    let (is_array, content) = elements::is_array(content)?;
    if is_array {
        reading.showing.order.in_array = Some(0);
        let mut elements = Elements::new(content);
        elements.hand_to(&mut reading)?;
        // A message that is an array may come before others.
        let (number, rest) = elements.finish();
        reading.showing.order = Order { in_array: None, not_counted: number };
        Lines::after(number, rest).hand_to(&mut reading)?;
    } else {
        Lines::new(content).hand_to(&mut reading)?;
    }
    reading.conclude()
}

/// Shows some lines of an object to `visitor`, each with its number, where the others are ticks
/// that were read elsewhere. `is_wrapped`: the tick before them is in a sink's envelope.
#[cfg(feature = "spark")]
pub fn visit_some(
    lines: &[(u64, Vec<u8>)],
    options: &ScanOptions,
    is_wrapped: bool,
    visitor: &mut impl Visitor,
) {
    let mut reading =
        ObjectReading { is_wrapped, has_records: true, ..ObjectReading::new(options, visitor) };
    for (number, bytes) in lines {
        reading.take(&part(*number, bytes));
    }
}

/// How the lines of an object are read.
struct ObjectReading<'o, V> {
    decoder: Decoder,
    /// What is known of every record that an object's lines hold.
    context: RecordContext<'o>,
    envelope: Envelope<'o>,
    /// Whether the last tick was in a sink's envelope: the next one will be, too.
    is_wrapped: bool,
    /// Whether any line was a tick, or at least JSON: no sink writes an object without.
    has_records: bool,
    first_reject: Option<Reject>,
    /// Whether that is of a line as a sink writes it that is set to comma-separated fields.
    looks_like_csv: bool,
    /// Lines that are no record, before the first that is.
    strange_lines: u64,
    /// The last line, where it ends in what no whole object ends in.
    cut_line: Option<(u64, &'static str)>,
    is_csv: bool,
    /// How many bytes may still be looked through for records after what is none.
    work: usize,
    /// How many arrays of records the value that is shown is in.
    depth: usize,
    showing: Showing<'o, V>,
}

/// Whom ticks and rejects are shown to, and what they are shown with.
struct Showing<'o, V> {
    visitor: &'o mut V,
    order: Order,
    /// Blank lines, and lines and elements that are no tick.
    without_tick: u64,
    /// How many of those there may be.
    max_without_tick: u64,
}

impl<V: Visitor> Showing<'_, V> {
    /// Shows the tick `element` of the line `number`.
    #[inline(always)]
    fn record(&mut self, record: &DecodedTick<'_>, number: u64, element: u16) {
        self.visitor.record(record, self.order.position(number, element));
    }

    fn reject(&mut self, line: &Line<'_>, element: u16, reject: Reject) {
        self.without_tick += 1;
        self.visitor.reject(line, element, reject);
    }

    /// Whether it is no object of a sink, however many of its lines are no ticks.
    fn has_too_few(&self) -> bool {
        self.without_tick > self.max_without_tick
    }
}

/// What is known of the order of an object's ticks, where its lines do not tell their offsets.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    /// Ticks so far of the array that the object begins with, while that is read. Whether it is the
    /// whole object, and each element a message, or the first message of several, only its end
    /// tells. So as many of them as fit count as ticks of one message: then none lies after a tick
    /// of a later message, whichever it is.
    in_array: Option<u64>,
    /// Elements of such an array, which are counted as lines: the rest of its own line comes after
    /// them.
    not_counted: u64,
}

impl Order {
    /// The spot of the tick `element` of the line `number`.
    #[inline(always)]
    fn position(&mut self, number: u64, element: u16) -> LinePosition {
        let order = match &mut self.in_array {
            None => (number - 1 - self.not_counted, element),
            Some(ticks) => {
                *ticks += 1;
                ((*ticks - 1) >> u16::BITS, (*ticks - 1) as u16)
            }
        };
        LinePosition { element, order }
    }
}

/// No object of a sink begins with so many lines that are no records. What is packed may be a
/// thousand times as long as it looks.
const MAX_STRANGE_LINES: u64 = 1_000_000;

/// How many bytes of an object are looked through for records after what is none, all attempts
/// together; and how many more for each byte of a line that holds such.
const MAX_WORK: usize = 64 * MAX_VALUE_BYTES;
const WORK_OF_A_BYTE: usize = 4;
/// What it takes to see that a value is none of those, as bytes.
const WORK_OF_AN_ATTEMPT: usize = 64;

/// What a sink writes by its own setting is none of its producer's doing.
const CSV_ADVICE: &str = "comma-separated fields: where the sink writes those, --csv-fields names \
                          them, as --csv-fields key,value,offset,timestamp";

/// How deep arrays of records may lie in one another.
const MAX_DEPTH: usize = 8;

/// Whether a line that is no JSON, nor meant to be, is of fields with commas between.
fn looks_like_csv(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let begins = |first: &u8| !matches!(first, b'<' | b'{' | b'[');
    line.first().is_some_and(begins)
        && line.contains(&b',')
        && !line.contains(&b'\0')
        && str::from_utf8(line).is_ok()
}

impl<V: Visitor> LineTaker for ObjectReading<'_, V> {
    #[inline(always)]
    fn take_first(&mut self, bytes: &[u8], number: u64) -> Option<usize> {
        if self.is_wrapped || self.showing.visitor.has_enough() {
            return None;
        }
        let (record, length) = self.decoder.decode_known_line(bytes, &self.context)?;
        self.has_records = true;
        self.showing.record(&record, number, 0);
        Some(length)
    }

    fn take(&mut self, line: &Line<'_>) {
        if line.is_blank() {
            self.showing.without_tick += 1;
            return;
        }
        if line.length >= MAX_VALUE_BYTES as u64 {
            let detail = format!("{} bytes; a tick has less than {MAX_VALUE_BYTES}", line.length);
            let why = Reject { reason: Reason::TooLarge, detail };
            return if line.bytes.len() as u64 == line.length {
                self.show_parts(line, why)
            } else {
                self.reject(line, line.behind, why)
            };
        }
        if self.is_wrapped || line.behind > 0 {
            return self.show(line);
        }
        match self.decoder.decode_known(line.bytes, &self.context) {
            Some(record) => {
                self.has_records = true;
                self.showing.record(&record, line.number, 0);
            }
            None => self.show(line),
        }
    }

    fn has_given_up(&self) -> bool {
        self.strange_lines >= MAX_STRANGE_LINES
            || self.showing.has_too_few()
            || self.showing.visitor.has_enough()
    }
}

impl<'o, V> ObjectReading<'o, V> {
    fn new(options: &'o ScanOptions, visitor: &'o mut V) -> Self {
        Self {
            decoder: Decoder::new(Arc::clone(&options.rules), options.stored_at),
            context: RecordContext {
                topic: Some(&*options.topic).filter(|topic| !topic.is_empty()),
                ..RecordContext::NOTHING
            },
            envelope: Envelope::new(options.csv.as_ref(), options.origin.partition),
            is_wrapped: options.csv.is_some(),
            has_records: false,
            first_reject: None,
            looks_like_csv: false,
            strange_lines: 0,
            cut_line: None,
            is_csv: options.csv.is_some(),
            work: MAX_WORK,
            depth: 0,
            showing: Showing {
                visitor,
                order: Order::default(),
                without_tick: 0,
                max_without_tick: options.max_without_tick,
            },
        }
    }
}

impl<V: Visitor> ObjectReading<'_, V> {
    /// Shows what a line holds: one value, nearly always.
    fn show(&mut self, line: &Line<'_>) {
        match self.show_value(line, line.behind) {
            Ok(()) => {}
            Err(reject) if matches!(reject.reason, Reason::NotJson | Reason::NotUtf8) => {
                self.show_parts(line, reject)
            }
            Err(reject) => self.reject(line, line.behind, reject),
        }
    }

    /// Shows each of the values of a line that is none as a whole. What stands between them, or is
    /// cut off, is a rejected part of its own; it goes on to the next record that tells its offset.
    /// `why` the line is no value.
    fn show_parts(&mut self, line: &Line<'_>, why: Reject) {
        let (mut rest, mut behind) = (values::skip_separators(line.bytes), line.behind);
        if rest.is_empty() {
            return self.reject(line, behind, why);
        }
        self.work = self.work.saturating_add(WORK_OF_A_BYTE * line.bytes.len());
        while !rest.is_empty() {
            let end = if self.work > 0 { values::end_of_value(rest) } else { None };
            let shown = end.map(|end| self.show_value(&part_of(line, rest, end), behind));
            let length = match (end, shown) {
                (Some(end), Some(Ok(()))) => end,
                (Some(end), Some(Err(reject))) if is_value(&rest[..end], &reject) => {
                    self.reject(&part_of(line, rest, end), behind, reject);
                    end
                }
                _ => {
                    self.work = self.work.saturating_sub(values::looked_through(rest, end));
                    let end = self.next_record(rest).unwrap_or(rest.len());
                    let part = part_of(line, rest, end);
                    if let Err(reject) = self.show_value(&part, behind) {
                        self.reject(&part, behind, reject);
                    }
                    end
                }
            };
            rest = values::skip_separators(&rest[length..]);
            behind = behind.saturating_add(1);
        }
    }

    /// Where, after what a text begins with, the next record begins that tells its offset.
    fn next_record(&mut self, text: &[u8]) -> Option<usize> {
        for at in memchr::memchr2_iter(b'{', b'[', text).filter(|at| *at > 0) {
            if self.work == 0 {
                break;
            }
            let value = &text[at..];
            let end = values::end_of_value(value);
            let looked = values::looked_through(value, end) + WORK_OF_AN_ATTEMPT;
            self.work = self.work.saturating_sub(looked);
            if end.is_some_and(|end| self.tells_offset(&value[..end])) {
                return Some(at);
            }
        }
        None
    }

    /// Whether a value is a record that tells its offset, or a list of such.
    fn tells_offset(&mut self, value: &[u8]) -> bool {
        let mut tells = false;
        let mut note = |element: Element<'_>, kafka_position: Option<Provenance>| {
            tells |=
                element.read.is_ok_and(|record| kafka_position.or(record.provenance).is_some());
        };
        let Self { envelope, context, decoder, .. } = self;
        decoder.refuse_rest(true);
        let is_message = !is_surely_one(value)
            && decoder.decode_each(value, context, &mut |element| note(element, None)).is_ok();
        if !is_message && let Some(content) = envelope.open(value) {
            let context = RecordContext { key: content.key, time: content.time, ..*context };
            decoder.refuse_rest(false);
            let position = content.provenance;
            // The reason is given where the value is shown.
            let _ = decoder
                .decode_each(content.value, &context, &mut |element| note(element, position));
        }
        tells || self.is_list(value)
    }

    /// Whether a value is an array of records, each with an offset of its own, and not a message
    /// with several ticks.
    fn is_list(&mut self, value: &[u8]) -> bool {
        values::first_of_array(value).is_some_and(|first| self.tells_offset(first))
    }

    /// Shows the elements of such an array. `false` where it is no JSON, or too deep in others.
    fn show_list(&mut self, line: &Line<'_>, behind: u16) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(line.bytes) else {
            return false;
        };
        self.depth += 1;
        for (at, element) in (behind..=u16::MAX).chain(iter::repeat(u16::MAX)).zip(elements) {
            let element = part(line.number, element.get().as_bytes());
            if let Err(reject) = self.show_value(&element, at) {
                self.reject(&element, at, reject);
            }
        }
        self.depth -= 1;
        true
    }

    /// A value is a message as it is, or holds one in an envelope. What is surely a sink's envelope
    /// is no message: what is looked for in a message may stand around it, too. Of all else what
    /// the last one was is tried first; where neither is true, the reason is that of the envelope's
    /// content, if there is any. `behind`: how many stand before it in its line.
    ///
    /// # Errors
    /// Why it is none; nothing was shown then.
    fn show_value(&mut self, line: &Line<'_>, behind: u16) -> Result<(), Reject> {
        if self.is_list(line.bytes) && self.show_list(line, behind) {
            return Ok(());
        }
        let mut inner = NoContent::NoEnvelope;
        if self.is_wrapped || is_surely_one(line.bytes) {
            match self.show_content(line, behind) {
                Ok(()) => return Ok(()),
                Err(why) => inner = why,
            }
        }
        if let NoContent::Rejected { why, is_sure: true } = inner {
            self.has_records = true;
            return Err(why);
        }
        let outer = match self.show_message(line, behind) {
            Ok(()) => return Ok(()),
            Err(why) => why,
        };
        if !self.is_wrapped {
            match self.show_content(line, behind) {
                Ok(()) => return Ok(()),
                Err(why) => inner = why,
            }
        }
        match inner {
            NoContent::NoEnvelope => Err(outer),
            NoContent::Rejected { why, .. } => {
                self.has_records = true;
                Err(why)
            }
        }
    }

    fn reject(&mut self, line: &Line<'_>, element: u16, reject: Reject) {
        // Of a line of other fields than JSON nothing tells whether it is whole.
        if line.is_open && (self.is_csv || is_cut(line, element > 0)) {
            self.cut_line = Some((line.number, "in the middle of a value"));
        }
        self.has_records |= match reject.reason {
            Reason::TooLarge => matches!(line.bytes.first(), Some(b'{' | b'[' | b'"')),
            reason => !matches!(reason, Reason::NotJson | Reason::NotUtf8 | Reason::Empty),
        };
        if !self.has_records {
            self.strange_lines += 1;
            if self.first_reject.is_none() {
                self.looks_like_csv = !self.is_csv && looks_like_csv(line.bytes);
                self.first_reject = Some(reject.clone());
            }
        } else if line.is_torn {
            self.cut_line = Some((line.number, "in zero bytes"));
        }
        self.showing.reject(line, element, reject);
    }

    /// An object without a single record is something else than what the sink wrote: zeros, a page
    /// of HTML, a format or a compression that is not read. So is one that hardly has any for what
    /// it unpacks to.
    fn conclude(self) -> io::Result<()> {
        if self.showing.has_too_few() {
            let count = self.showing.max_without_tick;
            let why = format!(
                "more than {count} of its lines hold no tick, and no sink packs so many into its \
                 size: it was not read to its end"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        if let Some((number, how)) = self.cut_line {
            let why = format!("it ends {how}, in line {number}");
            return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
        }
        if self.has_records {
            return Ok(());
        }
        let why = match self.first_reject {
            None => "it is empty".to_owned(),
            Some(_) if self.looks_like_csv => format!("its first line has {CSV_ADVICE}"),
            Some(reject) => format!("its first line is {reject}"),
        };
        Err(io::Error::new(ErrorKind::InvalidData, format!("it holds no record: {why}")))
    }

    /// Shows the ticks in a line's envelope; the next line is in one, too.
    fn show_content(&mut self, line: &Line<'_>, behind: u16) -> Result<(), NoContent> {
        let Self { envelope, context, decoder, showing, .. } = self;
        let content = envelope.open(line.bytes).ok_or(NoContent::NoEnvelope)?;
        let is_sure = content.is_sure;
        let context = RecordContext { key: content.key, time: content.time, ..*context };
        let message = Message {
            value: content.value,
            number: line.number,
            behind,
            provenance: content.provenance,
        };
        decoder.refuse_rest(false);
        show_each(decoder, showing, &message, &context)
            .map_err(|why| NoContent::Rejected { why, is_sure })?;
        (self.has_records, self.is_wrapped) = (true, true);
        Ok(())
    }

    /// Shows the ticks of a line that is a message.
    fn show_message(&mut self, line: &Line<'_>, behind: u16) -> Result<(), Reject> {
        let Self { decoder, context, showing, .. } = self;
        let message = Message { value: line.bytes, number: line.number, behind, provenance: None };
        decoder.refuse_rest(true);
        show_each(decoder, showing, &message, context)?;
        self.has_records = true;
        Ok(())
    }
}

/// Why an envelope has shown no ticks.
enum NoContent {
    /// The line is none.
    NoEnvelope,
    /// `is_sure`: it is nothing else.
    Rejected { why: Reject, is_sure: bool },
}

/// Whether it is the beginning of a JSON value, or `after_others`, which something may stand in
/// front of.
fn is_cut(line: &Line<'_>, after_others: bool) -> bool {
    let bytes = line.bytes;
    // Of a long line only the beginning is there, and that its value has not ended was seen.
    let is_long = (bytes.len() as u64) < line.length;
    let begins = |bytes: &[u8]| {
        let is_cut = |error: serde_json::Error| {
            error.is_eof() || is_long && error.to_string().starts_with("recursion limit")
        };
        serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(is_cut)
    };
    let behind = memchr::memchr2(b'{', b'[', bytes).filter(|_| after_others);
    begins(bytes) || behind.is_some_and(|at| begins(&bytes[at..]))
}

/// Whether what was rejected is a value all the same.
fn is_value(bytes: &[u8], reject: &Reject) -> bool {
    let is_strange = matches!(reject.reason, Reason::NotJson | Reason::NotUtf8);
    !is_strange || serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// The part of a line that `rest` of it begins with.
fn part_of<'l>(line: &Line<'_>, rest: &'l [u8], end: usize) -> Line<'l> {
    let bytes = rest[..end].trim_ascii_end();
    let is_last = end == rest.len();
    let (is_open, is_torn) = (line.is_open && is_last, line.is_torn && is_last);
    Line { bytes, length: bytes.len() as u64, is_open, is_torn, ..*line }
}

/// What follows another value is a record of its own only if it says so: a producer may send
/// two values in one message, of which Connect and the speed layer take the first.
const NO_PLACE: &str =
    "it stands behind another value in its line and has no offset (is a newline missing?)";

/// A message in a line.
struct Message<'l> {
    value: &'l [u8],
    /// The line's.
    number: u64,
    /// How many stand before it in its line.
    behind: u16,
    /// As the sink says it.
    provenance: Option<Provenance>,
}

/// Shows what a message holds.
///
/// # Errors
/// Why it holds nothing; nothing was shown then.
fn show_each(
    decoder: &mut Decoder,
    showing: &mut Showing<'_, impl Visitor>,
    message: &Message<'_>,
    context: &RecordContext<'_>,
) -> Result<(), Reject> {
    let (number, behind) = (message.number, message.behind);
    decoder.decode_each(message.value, context, &mut |element| {
        let Element { index, value, read, provenance } = element;
        // What the sink says of a record comes before what its producer wrote into it.
        let provenance = message.provenance.or(provenance);
        let reject = match read {
            Ok(_) if behind > 0 && provenance.is_none() => {
                Reject { reason: Reason::NotJson, detail: NO_PLACE.to_owned() }
            }
            Ok(record) => {
                let record = DecodedTick { provenance, ..record };
                return showing.record(&record, number, index);
            }
            Err(reject) => reject,
        };
        let part = Line { kafka_position: provenance, is_element: true, ..part(number, value) };
        showing.reject(&part, index.max(behind), reject);
    })
}

fn part(number: u64, bytes: &[u8]) -> Line<'_> {
    let length = bytes.len() as u64;
    Line {
        number,
        bytes,
        length,
        is_open: false,
        is_torn: false,
        behind: 0,
        kafka_position: None,
        is_element: false,
    }
}
