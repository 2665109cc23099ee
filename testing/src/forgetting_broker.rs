//! [`ForgettingBroker`]: a broker that forgets all brokers, itself among them.

use bytes::{Buf, BufMut, Bytes};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A Kafka broker that knows as much of the protocol as a producer needs, and can answer as a
/// starting one does in some moments: it knows the topic, and no broker at all. A real one cannot
/// be asked for that.
pub struct ForgettingBroker {
    address: String,
    shared: Arc<BrokerState>,
}

#[derive(Default)]
struct BrokerState {
    names_no_broker: AtomicBool,
    answers_without_brokers: AtomicU64,
    produced: AtomicU64,
}

impl ForgettingBroker {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen as a broker");
        let port = listener.local_addr().expect("the broker's address").port();
        let shared = Arc::new(BrokerState::default());
        let of_thread = Arc::clone(&shared);
        // Both kinds of threads end with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let shared = Arc::clone(&of_thread);
                std::thread::spawn(move || serve(connection, port, &shared));
            }
        });
        Self { address: format!("127.0.0.1:{port}"), shared }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn name_no_broker(&self, from_now_on: bool) {
        self.shared.names_no_broker.store(from_now_on, Ordering::SeqCst);
    }

    /// How often it was asked who is there, and named none.
    pub fn answers_without_brokers(&self) -> u64 {
        self.shared.answers_without_brokers.load(Ordering::SeqCst)
    }

    /// Messages that it took.
    pub fn produced(&self) -> u64 {
        self.shared.produced.load(Ordering::SeqCst)
    }
}

/// (key, oldest, newest version) of each request that is understood.
const APIS: [(i16, i16, i16); 5] = [
    (PRODUCE, 3, 3),
    (FETCH, 4, 4),
    (METADATA, 1, 1),
    (API_VERSIONS, 0, 0),
    (INIT_PRODUCER_ID, 0, 0),
];
const PRODUCE: i16 = 0;
/// Named, because the client deduces the format of messages from it; never asked by a producer.
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;

const NODE: i32 = 1;
const LEADER_NOT_AVAILABLE: i16 = 5;
const UNSUPPORTED_VERSION: i16 = 35;
/// Where a record batch holds the number of its records.
const RECORD_COUNT_AT: usize = 57;

/// Until the client hangs up.
fn serve(mut connection: TcpStream, port: u16, shared: &BrokerState) {
    while let Ok(request) = frame(&mut connection) {
        let answer = answer(request, port, shared);
        let length = i32::try_from(answer.len()).expect("answers are short").to_be_bytes();
        if connection.write_all(&[&length[..], &answer].concat()).is_err() {
            return;
        }
    }
}

fn frame(connection: &mut TcpStream) -> io::Result<Bytes> {
    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let mut request = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap_or_default()];
    connection.read_exact(&mut request)?;
    Ok(request.into())
}

fn answer(mut request: Bytes, port: u16, shared: &BrokerState) -> Vec<u8> {
    let (key, version, correlation) = (request.get_i16(), request.get_i16(), request.get_i32());
    let mut answer = Vec::new();
    answer.put_i32(correlation);
    // The newer forms of this question have another header.
    if key == API_VERSIONS {
        put_versions(version, &mut answer);
        return answer;
    }
    let _client = text(&mut request);
    match key {
        METADATA => put_metadata(request, port, shared, &mut answer),
        INIT_PRODUCER_ID => {
            answer.put_i32(0);
            answer.put_i16(0);
            answer.put_i64(1);
            answer.put_i16(0);
        }
        PRODUCE => put_acknowledgement(request, shared, &mut answer),
        other => panic!("a client asks what this broker does not announce: {other}"),
    }
    answer
}

fn put_versions(version: i16, answer: &mut Vec<u8>) {
    answer.put_i16(if version == 0 { 0 } else { UNSUPPORTED_VERSION });
    put_count(APIS.len(), answer);
    for (key, oldest, newest) in APIS {
        answer.put_i16(key);
        answer.put_i16(oldest);
        answer.put_i16(newest);
    }
}

fn put_metadata(mut request: Bytes, port: u16, shared: &BrokerState, answer: &mut Vec<u8>) {
    let topics: Vec<String> = (0..request.get_i32()).map(|_| text(&mut request)).collect();
    let is_there = !shared.names_no_broker.load(Ordering::SeqCst);
    if is_there {
        put_count(1, answer);
        answer.put_i32(NODE);
        put_text("127.0.0.1", answer);
        answer.put_i32(port.into());
        answer.put_i16(-1);
    } else {
        put_count(0, answer);
        // Without a topic the client takes the answer for none.
        shared.answers_without_brokers.fetch_add(u64::from(!topics.is_empty()), Ordering::SeqCst);
    }
    answer.put_i32(if is_there { NODE } else { -1 });
    put_count(topics.len(), answer);
    for topic in topics {
        answer.put_i16(if is_there { 0 } else { LEADER_NOT_AVAILABLE });
        put_text(&topic, answer);
        answer.put_u8(0);
        if !is_there {
            put_count(0, answer);
            continue;
        }
        put_count(1, answer);
        answer.put_i16(0);
        answer.put_i32(0);
        answer.put_i32(NODE);
        for _replicas_and_in_sync in 0..2 {
            put_count(1, answer);
            answer.put_i32(NODE);
        }
    }
}

fn put_acknowledgement(mut request: Bytes, shared: &BrokerState, answer: &mut Vec<u8>) {
    let _transaction = text(&mut request);
    let (_acks, _timeout, topics) = (request.get_i16(), request.get_i32(), request.get_i32());
    answer.put_i32(topics);
    for _ in 0..topics {
        put_text(&text(&mut request), answer);
        let partitions = request.get_i32();
        answer.put_i32(partitions);
        for _ in 0..partitions {
            let partition = request.get_i32();
            let length = usize::try_from(request.get_i32()).unwrap_or_default();
            let records = request.split_to(length).slice(RECORD_COUNT_AT..).get_i32();
            let records = u64::try_from(records).unwrap_or_default();
            let before = shared.produced.fetch_add(records, Ordering::SeqCst);
            answer.put_i32(partition);
            answer.put_i16(0);
            answer.put_i64(i64::try_from(before).unwrap_or_default());
            answer.put_i64(-1);
        }
    }
    answer.put_i32(0);
}

fn put_count(count: usize, answer: &mut Vec<u8>) {
    answer.put_i32(i32::try_from(count).expect("lists are short"));
}

fn put_text(text: &str, answer: &mut Vec<u8>) {
    answer.put_i16(i16::try_from(text.len()).expect("texts are short"));
    answer.put_slice(text.as_bytes());
}

/// Empty where there is none.
fn text(request: &mut Bytes) -> String {
    let length = usize::try_from(request.get_i16()).unwrap_or_default();
    String::from_utf8_lossy(&request.split_to(length)).into_owned()
}
