//! [`EndlessStore`]: an S3 store of one folder, whose objects are made up while they are sent, so
//! that they may be of any size and number.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::iter::repeat_n;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::form_urlencoded;

/// Keys of a page of a listing, as real stores have it.
const PAGE: usize = 1000;

/// What an object holds: a block, again and again.
#[derive(Clone)]
pub struct Body {
    pub block: Bytes,
    pub times: usize,
}

/// The objects of a folder, made up from their numbers.
pub struct Objects {
    /// With a `/` at its end.
    pub folder: String,
    pub count: usize,
    /// Behind the number in each name.
    pub ending: &'static str,
    pub content: Box<dyn Fn(usize) -> Body + Send + Sync>,
}

impl Objects {
    fn key(&self, number: usize) -> String {
        format!("{}stock_prices+0+{number:012}{}", self.folder, self.ending)
    }

    /// The number in a name, whose characters may be escaped.
    fn number(&self, name: &str) -> Option<usize> {
        let name = name.strip_suffix(self.ending)?;
        let number = name.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()?;
        (number < self.count).then_some(number)
    }
}

/// It is there as long as the value is.
pub struct EndlessStore {
    address: SocketAddr,
    _serving: AbortOnDropHandle<std::io::Result<()>>,
}

impl EndlessStore {
    ///
    /// # Errors
    /// No free port.
    pub async fn start(objects: Objects) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let routes = Router::new().fallback(answer).with_state(Arc::new(objects));
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { address, _serving: AbortOnDropHandle::new(serving) })
    }

    /// What batch-layer needs to reach it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("S3_BUCKET", "endless".to_owned()),
            ("S3_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "any".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
        ]
    }
}

async fn answer(State(objects): State<Arc<Objects>>, uri: Uri) -> Response {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: HashMap<String, String> = query.into_owned().collect();
    if query.contains_key("list-type") {
        return page(&objects, &query).into_response();
    }
    let Some(number) = objects.number(uri.path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Body { block, times } = (objects.content)(number);
    let length = (block.len() * times).to_string();
    let head = [(header::CONTENT_LENGTH, length), (header::ETAG, format!("\"{number}\""))];
    let blocks = futures::stream::iter(repeat_n(block, times).map(Ok::<_, Infallible>));
    (head, axum::body::Body::from_stream(blocks)).into_response()
}

fn page(objects: &Objects, query: &HashMap<String, String>) -> String {
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let prefix = asked("prefix");
    // Nobody needs its folders.
    let is_asked = !query.contains_key("delimiter")
        && (objects.folder == prefix || prefix.starts_with(&objects.folder));
    let first: usize = asked("continuation-token").parse().unwrap_or_default();
    let end = if is_asked { objects.count.min(first + PAGE) } else { first };
    let mut text = "<ListBucketResult>".to_owned();
    for number in first..end {
        let key = objects.key(number);
        if key.starts_with(prefix) {
            let Body { block, times } = (objects.content)(number);
            let size = block.len() * times;
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><ETag>&quot;{number}&quot;</ETag><Size>{size}</Size>\
                 <LastModified>2025-06-06T15:00:00.000Z</LastModified></Contents>"
            );
        }
    }
    let is_truncated = is_asked && end < objects.count;
    let _ = write!(text, "<IsTruncated>{is_truncated}</IsTruncated>");
    if is_truncated {
        let _ = write!(text, "<NextContinuationToken>{end}</NextContinuationToken>");
    }
    text + "</ListBucketResult>"
}
