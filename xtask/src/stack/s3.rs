//! Creates a bucket by one signed request (AWS signature version 4): the SDK would make this crate slow to build.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::utc::Utc;

/// Demo credentials; the store listens on loopback only.
pub const ACCESS_KEY: &str = "minioadmin";
pub const SECRET_KEY: &str = "minioadmin";
pub const REGION: &str = "us-east-1";

/// True once the store on `port` says that `bucket` exists; false while it does not listen or is not ready yet (5xx).
pub fn create_bucket(port: u16, bucket: &str) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let host = format!("127.0.0.1:{port}");
    let request =
        Request { method: "PUT", path: &format!("/{bucket}"), host: &host, time: &Utc::from_epoch(now).basic() };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of the vendor's manual on deriving a signing key.
    #[test]
    fn the_signing_key_is_that_of_the_published_example() {
        let key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam").unwrap();
        assert_eq!(hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }
}
