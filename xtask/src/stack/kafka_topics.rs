//! Creates topics by one request of Kafka's protocol (CreateTopics, version 4): a Java tool would
//! take a second, a client a C library.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Its name and how many partitions it gets.
pub type NewTopic = (&'static str, i32);

const CREATE_TOPICS: i16 = 19;
const VERSION: i16 = 4;
const TIMEOUT: Duration = Duration::from_secs(10);
const ALREADY_EXISTS: i16 = 36;

/// True once the broker says that all `topics` exist; false while it does not listen.
///
/// # Errors
/// The broker refuses a topic, for instance because it is still starting.
pub fn create(port: u16, topics: &[NewTopic]) -> Result<bool> {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else {
        return Ok(false);
    };
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&request(topics)?)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("Kafka does not answer")?;
    let mut response = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut response).context("Kafka does not answer")?;
    for (name, code) in results(&response).context("Kafka's answer to CreateTopics is too short")? {
        if code != 0 && code != ALREADY_EXISTS {
            bail!("Kafka refuses to create the topic {name}: error code {code}");
        }
    }
    Ok(true)
}

fn request(topics: &[NewTopic]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    body.extend(CREATE_TOPICS.to_be_bytes());
    body.extend(VERSION.to_be_bytes());
    body.extend(1_i32.to_be_bytes()); // correlation id
    string(&mut body, "xtask")?;
    body.extend(i32::try_from(topics.len())?.to_be_bytes());
    for (name, partitions) in topics {
        string(&mut body, name)?;
        body.extend(partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes()); // replication factor
        body.extend(0_i32.to_be_bytes()); // no assignments by hand
        body.extend(0_i32.to_be_bytes()); // no configuration
    }
    body.extend(i32::try_from(TIMEOUT.as_millis())?.to_be_bytes());
    body.push(0); // not only validate
    let mut framed = i32::try_from(body.len())?.to_be_bytes().to_vec();
    framed.extend(body);
    Ok(framed)
}

fn string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    out.extend(i16::try_from(text.len())?.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// Topic names and error codes of a response. None when it is cut short.
fn results(response: &[u8]) -> Option<Vec<(String, i16)>> {
    let mut rest = response.get(8..)?; // correlation id, throttle time
    let count = i32::from_be_bytes(*take(&mut rest)?);
    let mut found = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(*take(&mut rest)?)).ok()?;
        let name = rest.split_off(..length)?;
        let code = i16::from_be_bytes(*take(&mut rest)?);
        let message = i16::from_be_bytes(*take(&mut rest)?); // -1: null
        rest.split_off(..usize::try_from(message).unwrap_or(0))?;
        found.push((String::from_utf8_lossy(name).into_owned(), code));
    }
    Some(found)
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_announces_its_own_length() {
        let bytes = request(&[("dlq", 1)]).unwrap();
        let announced = i32::from_be_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(usize::try_from(announced).unwrap(), bytes.len() - 4);
        assert!(bytes.windows(5).any(|window| window == b"\0\x03dlq"));
    }

    #[test]
    fn codes_are_read_with_and_without_a_message() {
        let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
        bytes.extend(b"\0\x01a\0\0\xff\xff");
        bytes.extend(b"\0\x01b\0\x24\0\x04text");
        let expected = vec![("a".to_owned(), 0), ("b".to_owned(), ALREADY_EXISTS)];
        assert_eq!(results(&bytes), Some(expected));
        assert_eq!(results(&bytes[..bytes.len() - 1]), None);
    }
}
