//! Creates a bucket by one signed request (AWS signature version 4): the SDK would make this crate slow to build.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Demo credentials; the store listens on loopback only.
pub const ACCESS_KEY: &str = "minioadmin";
pub const SECRET_KEY: &str = "minioadmin";
pub const REGION: &str = "us-east-1";

/// True once the store on `port` says that `bucket` exists; false while it does not listen or is not ready yet (5xx).
pub fn create_bucket(port: u16, bucket: &str) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let host = format!("127.0.0.1:{port}");
    let request = Request { method: "PUT", path: &format!("/{bucket}"), host: &host, time: &timestamp(now) };
    let sent = ureq::put(format!("http://{host}/{bucket}"))
        .config()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .header("x-amz-date", request.time)
        .header("x-amz-content-sha256", hex(&Sha256::digest(b"")))
        .header("authorization", request.authorization()?)
        .send_empty();
    let mut response = match sent {
        Ok(response) => response,
        Err(ureq::Error::Io(_)) => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("the S3 store on {host} does not answer")),
    };
    match response.status().as_u16() {
        200 | 409 => Ok(true),
        500.. => Ok(false),
        status => {
            let body = response.body_mut().read_to_string().unwrap_or_default();
            bail!("the S3 store on {host} refuses to create the bucket {bucket}: {status} {body}")
        }
    }
}

/// A request without query and body.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    host: &'a str,
    /// For instance 20150830T123600Z.
    time: &'a str,
}

impl Request<'_> {
    fn authorization(&self) -> Result<String> {
        let headers = "host;x-amz-content-sha256;x-amz-date";
        let empty = hex(&Sha256::digest(b""));
        let canonical = format!(
            "{}\n{}\n\nhost:{}\nx-amz-content-sha256:{empty}\nx-amz-date:{}\n\n{headers}\n{empty}",
            self.method, self.path, self.host, self.time
        );
        let day = &self.time[..8];
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.time, hex(&Sha256::digest(canonical.as_bytes())));
        let signature = hex(&hmac(&signing_key(SECRET_KEY, day, REGION, "s3")?, &to_sign)?);
        Ok(format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders={headers}, Signature={signature}"))
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> Result<Vec<u8>> {
    [day, region, service, "aws4_request"]
        .iter()
        .try_fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part))
}

fn hmac(key: &[u8], text: &str) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seconds since 1970 as `20150830T123600Z`, by the civil-from-days method for the proleptic Gregorian calendar.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // from 0000-03-01, so that a leap day ends its year
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_right_around_leap_days() {
        assert_eq!(timestamp(0), "19700101T000000Z");
        assert_eq!(timestamp(951_782_400), "20000229T000000Z");
        assert_eq!(timestamp(1_440_938_160), "20150830T123600Z");
        assert_eq!(timestamp(4_107_542_399), "21000228T235959Z");
        assert_eq!(timestamp(4_107_542_400), "21000301T000000Z");
    }

    /// The worked example of the vendor's manual on deriving a signing key.
    #[test]
    fn the_signing_key_is_that_of_the_published_example() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam").unwrap();
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }
}
