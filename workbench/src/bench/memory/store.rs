//! [`EndlessStore`]: an S3 store of one folder, whose objects are made up while they are sent, so
//! that they may be of any size and number.

use bytes::Bytes;
use std::fmt::Write;
use std::sync::Arc;
use testing::Server;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

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

    fn size(&self, number: usize) -> usize {
        let Body { block, times } = (self.content)(number);
        block.len() * times
    }
}

/// It is there as long as the value is.
pub struct EndlessStore(Server);

impl EndlessStore {
    pub async fn start(objects: Objects) -> Self {
        let objects = Arc::new(objects);
        let serve = move |client| {
            let objects = Arc::clone(&objects);
            async move { serve(client, &objects).await }
        };
        Self(Server::start(serve).await)
    }

    /// What batch-layer needs to reach it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("S3_BUCKET", "endless".to_owned()),
            ("S3_ENDPOINT_URL", format!("http://{}", self.0.address())),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "any".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
        ]
    }
}

async fn serve(mut client: TcpStream, objects: &Objects) -> std::io::Result<()> {
    let (read, mut write) = client.split();
    let mut lines = BufReader::new(read).lines();
    while let Some(request) = lines.next_line().await? {
        while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path.split_once('?') {
            Some((_, query)) if query.contains("list-type=2") => {
                let page = page(objects, query);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
                write.write_all((head + &page).as_bytes()).await?;
            }
            _ => send(objects, path, &mut write).await?,
        }
    }
    Ok(())
}

fn page(objects: &Objects, query: &str) -> String {
    let asked = |name: &str| {
        let value = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().replace("%2F", "/").replace("%2B", "+")
    };
    let prefix = asked("prefix");
    // Nobody needs its folders.
    let is_asked = !query.contains("delimiter")
        && (objects.folder == prefix || prefix.starts_with(&objects.folder));
    let first: usize = asked("continuation-token").parse().unwrap_or_default();
    let end = if is_asked { objects.count.min(first + PAGE) } else { first };
    let mut text = "<ListBucketResult>".to_owned();
    for number in first..end {
        let (key, size) = (objects.key(number), objects.size(number));
        if key.starts_with(&prefix) {
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><ETag>&quot;{number}&quot;</ETag><Size>{size}</Size>\
                 <LastModified>2025-06-06T15:00:00.000Z</LastModified></Contents>"
            );
        }
    }
    let _ = match is_asked && end < objects.count {
        true => write!(
            text,
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{end}</NextContinuationToken>"
        ),
        false => write!(text, "<IsTruncated>false</IsTruncated>"),
    };
    text + "</ListBucketResult>"
}

async fn send(
    objects: &Objects,
    path: &str,
    write: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let name = path.split('?').next().unwrap_or_default().trim_end_matches(objects.ending);
    let number = name
        .rsplit("%2B")
        .next()
        .and_then(|number| number.rsplit('+').next()?.parse::<usize>().ok());
    let Some(number) = number.filter(|number| *number < objects.count) else {
        return write.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    };
    let Body { block, times } = (objects.content)(number);
    let length = block.len() * times;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"{number}\"\r\n\r\n");
    write.write_all(head.as_bytes()).await?;
    for _ in 0..times {
        write.write_all(&block).await?;
    }
    Ok(())
}
