//! The archive in an S3-compatible store.

mod http;
mod options;
mod write;

pub use options::S3Options;

use super::{MAX_OBJECTS, Object, StoreError};
use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, InterceptorContext,
};
use aws_sdk_s3::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_s3::config::{ConfigBag, Intercept, ResponseChecksumValidation, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use rustc_hash::FxHashSet;
use service::Failure;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use xxhash_rust::xxh3::xxh3_64;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// All attempts together, so that an unreachable store is reported within 15 s.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(13);
/// A body of which nothing more comes for this long is given up.
const STALL: Duration = Duration::from_secs(8);
const ATTEMPTS: u32 = 5;
/// How long whoever gives the credentials may take. Within a request the SDK would call a refusal
/// of theirs a timeout.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(10);
/// With it the pauses between five attempts are 11 s at most, so that a store's own words come
/// before the timeout's.
const LONGEST_BACKOFF: Duration = Duration::from_secs(4);
const DEFAULT_REGION: &str = "us-east-1";
/// How often a page of a listing is asked for that breaks off in the middle.
const PAGE_ATTEMPTS: u32 = 3;
/// Pages in a row that may show nothing, as where many objects were deleted.
const EMPTY_PAGES: u32 = 1000;
const PAGE_PAUSE: Duration = Duration::from_millis(300);
/// With these a store asks for fewer requests or for another try, as with 503, for which the SDK
/// waits by itself.
const THROTTLING: [u16; 3] = [408, 425, 429];
/// Error codes of a store that refuses the caller, whatever the request.
const OF_THE_CALLER: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// One bucket.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: Client,
    bucket: Arc<str>,
    address: Arc<str>,
    /// Where requests' signatures come from, and whether there were any once.
    credentials: Option<SharedCredentialsProvider>,
    are_given: Arc<OnceCell<()>>,
}

/// Which page of a listing.
#[derive(Debug, Default)]
struct Page<'a> {
    prefix: &'a str,
    /// Folders are listed, from this name on, and not objects.
    folders_from: Option<&'a str>,
    token: Option<String>,
}

/// Progress of a listing by pages, which might never end.
#[derive(Debug, Default)]
struct ListedSoFar {
    tokens: FxHashSet<String>,
    /// Hashes of what was shown. Not every store lists in the order of names.
    names: FxHashSet<u64>,
    /// Pages in a row that show nothing.
    empty: u32,
}

impl ListedSoFar {
    /// Notes what a page shows. Gives what is wrong with it.
    fn note<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        page: &ListObjectsV2Output,
    ) -> Option<String> {
        let mut is_empty = true;
        for name in names {
            is_empty = false;
            if !self.names.insert(xxh3_64(name.as_bytes())) {
                return Some(format!("{name} is shown twice"));
            }
        }
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        let next = page.next_continuation_token().filter(|_| page.is_truncated() == Some(true))?;
        if self.empty >= EMPTY_PAGES {
            return Some(format!(
                "{EMPTY_PAGES} pages in a row show nothing and say that more follow"
            ));
        }
        let is_new = self.tokens.insert(next.to_owned());
        (!is_new).then(|| "a page says that one follows which was there before".to_owned())
    }
}

impl S3Store {
    pub async fn open(options: &S3Options) -> Result<Self, Failure> {
        let http = http::client(options).map_err(Failure::Configuration)?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            // The default chain would also ask EC2's metadata service, and wait for it where there
            // is none.
            .region(
                RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(ProfileFileRegionProvider::new())
                    .or_else(DEFAULT_REGION),
            )
            .timeout_config(timeouts)
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().grace_period(STALL).build(),
            )
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(ATTEMPTS)
                    .with_max_backoff(LONGEST_BACKOFF),
            );
        if let Some(endpoint) = &options.endpoint_url {
            loader = loader.endpoint_url(endpoint);
        }
        let shared = loader.load().await;
        // The SDK heeds both variables, but tells about the first alone.
        let of_service = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|url| !url.is_empty());
        let endpoint = options
            .endpoint_url
            .clone()
            .or(of_service)
            .or(shared.endpoint_url().map(str::to_owned));
        let config = aws_sdk_s3::config::Builder::from(&shared)
            // Stores other than AWS rarely have a DNS name for each bucket.
            .force_path_style(options.path_style.unwrap_or(endpoint.is_some()))
            // Not every store knows the newer checksums; a truncated body is noticed by its length.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .retry_classifier(Throttling)
            .build();
        let address = endpoint.unwrap_or_else(|| "AWS".to_owned());
        Ok(Self {
            client: Client::from_conf(config),
            bucket: options.bucket.as_str().into(),
            address: address.into(),
            credentials: shared.credentials_provider(),
            are_given: Arc::default(),
        })
    }

    pub fn location(&self) -> String {
        format!("s3://{}/", self.bucket)
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        let (mut objects, mut next) = (Vec::new(), Some(Page { prefix, ..Page::default() }));
        let mut seen = ListedSoFar::default();
        while let Some(asked) = next {
            let page = self.page(&asked).await?;
            let shown = objects.len();
            let mut fault = None;
            for listed in page.contents() {
                match object(listed) {
                    Ok(object) => objects.push(object),
                    Err(why) => fault = Some(why),
                }
            }
            let names = objects[shown..].iter().map(|object| &*object.key);
            let fault = seen.note(names, &page).or(fault);
            next = self.after(asked, &page, fault)?.filter(|_| objects.len() <= MAX_OBJECTS);
        }
        Ok(objects)
    }

    pub async fn folders(
        &self,
        stem: &str,
        from: &str,
        all: bool,
    ) -> Result<Vec<String>, StoreError> {
        let (mut folders, mut next) =
            (Vec::new(), Some(Page { prefix: stem, folders_from: Some(from), token: None }));
        let mut seen = ListedSoFar::default();
        while let Some(asked) = next {
            let page = self.page(&asked).await?;
            let shown = folders.len();
            folders.extend(
                page.common_prefixes()
                    .iter()
                    .filter_map(|folder| folder.prefix().map(str::to_owned)),
            );
            let names = folders[shown..].iter().map(String::as_str);
            next = self.after(asked, &page, seen.note(names, &page))?.filter(|_| all);
        }
        Ok(folders)
    }

    /// The page that follows, if any. `fault`: what is wrong with this one.
    fn after<'p>(
        &self,
        asked: Page<'p>,
        page: &ListObjectsV2Output,
        fault: Option<String>,
    ) -> Result<Option<Page<'p>>, StoreError> {
        let fault = match (fault, page.is_truncated(), page.next_continuation_token()) {
            (Some(fault), ..) => fault,
            (None, Some(true), Some(next)) => {
                return Ok(Some(Page { token: Some(next.to_owned()), ..asked }));
            }
            (None, Some(true), None) => "a page says that more follow, and not where".to_owned(),
            _ => return Ok(None),
        };
        let (bucket, prefix) = (&self.bucket, asked.prefix);
        Err(StoreError::FalseListing(format!("listing s3://{bucket}/{prefix}, {fault}")))
    }

    /// One page, whole: a listing that broke off would look like an archive with fewer objects.
    async fn page(&self, asked: &Page<'_>) -> Result<ListObjectsV2Output, StoreError> {
        self.are_given.get_or_try_init(|| self.ask_for_credentials()).await?;
        let Page { prefix, folders_from, token } = asked;
        for attempt in 1.. {
            let request = self.client.list_objects_v2().bucket(&*self.bucket).prefix(*prefix);
            let request = request.set_continuation_token(token.clone());
            let request = request
                .set_delimiter(folders_from.map(|_| "/".to_owned()))
                .set_start_after(folders_from.filter(|from| !from.is_empty()).map(str::to_owned));
            let error = match request.customize().interceptor(WholeListing).send().await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let is_cut = format!("{}", DisplayErrorContext(&error)).contains(CUT_LISTING);
            if !is_cut || attempt == PAGE_ATTEMPTS {
                let what = format!("list s3://{}/{prefix}", self.bucket);
                return Err(if is_cut {
                    StoreError::Unavailable(anyhow::anyhow!(
                        "cannot {what} at {}: {CUT_LISTING}",
                        self.address
                    ))
                } else {
                    self.sort_error(&what, error)
                });
            }
            tokio::time::sleep(PAGE_PAUSE * attempt).await;
        }
        unreachable!("the loop has no end but a return")
    }

    /// Once, before the first request, for the sake of the words in which it fails.
    async fn ask_for_credentials(&self) -> Result<(), StoreError> {
        let Some(provider) = &self.credentials else { return Ok(()) };
        let asked = tokio::time::timeout(CREDENTIALS_TIMEOUT, provider.provide_credentials()).await;
        let timed_out = |_| Err(CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT));
        let Err(error) = asked.unwrap_or_else(timed_out) else { return Ok(()) };
        let (hint, is_refusal) = no_credentials(&error);
        let cause = anyhow::anyhow!("{}", innermost(&error));
        let error = cause.context(format!("cannot sign requests to {}: {hint}", self.address));
        Err(if is_refusal { StoreError::Refused(error) } else { StoreError::Unavailable(error) })
    }

    /// The object as it was listed. Its etag tells; where the store lists none, its size.
    pub async fn get(&self, object: &Object) -> Result<ByteStream, StoreError> {
        let asked = |is_conditional: bool| {
            let etag = object.etag_of_store().filter(|_| is_conditional).map(str::to_owned);
            self.client
                .get_object()
                .bucket(&*self.bucket)
                .key(&*object.key)
                .set_if_match(etag)
                .send()
        };
        let answer = match asked(true).await {
            // Some stores answer so to every condition: the answer to a plain request tells.
            Err(error) if read_status(&error) == Some(412) => asked(false).await,
            answer => answer,
        };
        let answer = answer.map_err(|error| self.sort_error("read it", error))?;
        if is_as_listed(&answer, object) { Ok(answer.body) } else { Err(StoreError::Moved) }
    }

    /// Sorts an error by what went wrong and who must act.
    fn sort_error<E>(&self, what: &str, error: SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.sort(
            what,
            "access denied: check the credentials and their right to list and read",
            error,
        )
    }

    /// Sorts an error of a request that changes the store.
    fn sort_write_error<E>(&self, what: &str, error: SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.sort(
            what,
            "access denied: check the credentials and their right to write and delete",
            error,
        )
    }

    /// `denied`: what to do where it is not allowed.
    fn sort<E>(&self, what: &str, denied: &'static str, error: SdkError<E>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = read_status(&error);
        let code = error.code().unwrap_or_default().to_owned();
        let (hint, is_refusal) = match (code.as_str(), status) {
            ("NoSuchBucket", _) => ("no such bucket: create it, or correct --bucket", true),
            ("NoSuchKey", _) | (_, Some(404 | 412)) => return StoreError::Moved,
            ("InvalidObjectState", _) => return StoreError::Frozen,
            (_, Some(status)) if THROTTLING.contains(&status) => {
                ("the store asks for fewer requests", false)
            }
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => {
                ("the credentials have expired: renew them", true)
            }
            ("InvalidAccessKeyId" | "SignatureDoesNotMatch", _) => {
                ("wrong credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", true)
            }
            ("RequestTimeTooSkewed", _) => ("this machine's clock is wrong", true),
            ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) => {
                ("wrong region: check AWS_REGION", true)
            }
            (_, Some(401 | 403)) => (denied, true),
            (_, Some(300..=499)) => ("the store refused the request", true),
            (_, Some(_)) => ("the store failed", false),
            (_, None) => no_answer(&error),
        };
        let cause = anyhow::anyhow!("{}", causes(&error, &code));
        let error = cause.context(format!("cannot {what} at {}: {hint}", self.address));
        if OF_THE_CALLER.contains(&&*code) {
            return StoreError::Caller(error);
        }
        if is_refusal { StoreError::Refused(error) } else { StoreError::Unavailable(error) }
    }
}

/// Waits for a store that throttles by another status than those that the SDK knows.
#[derive(Debug)]
struct Throttling;

impl ClassifyRetry for Throttling {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response().map(|response| response.status().as_u16()) {
            Some(status) if THROTTLING.contains(&status) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "throttling by status"
    }
}

const CUT_LISTING: &str = "the listing ends in the middle";

/// The SDK takes what has come of an answer for all of it, where no length says otherwise.
#[derive(Debug)]
struct WholeListing;

impl Intercept for WholeListing {
    fn name(&self) -> &'static str {
        "whole listing"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let body = response.body().bytes().unwrap_or_default().trim_ascii_end();
        let is_whole =
            body.ends_with(b"</ListBucketResult>") || body.ends_with(b"<ListBucketResult/>");
        if response.status().is_success() && !is_whole { Err(CUT_LISTING.into()) } else { Ok(()) }
    }
}

fn read_status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn is_as_listed(answer: &GetObjectOutput, object: &Object) -> bool {
    match (answer.e_tag(), object.etag_of_store()) {
        (Some(now), Some(listed)) if !now.is_empty() => {
            now.trim_matches('"') == listed.trim_matches('"')
        }
        _ => answer.content_length().is_none_or(|length| u64::try_from(length) == Ok(object.size)),
    }
}

/// Without an answer: the store cannot be reached, or there is nothing to sign the request with.
fn no_answer<E: std::error::Error + 'static>(error: &SdkError<E>) -> (&'static str, bool) {
    if let Some(error) = find::<CredentialsError>(error) {
        return no_credentials(error);
    }
    let text = format!("{}", DisplayErrorContext(error));
    if text.contains("invalid peer certificate") {
        return (
            "its certificate is not trusted: check --s3-endpoint-url, or give its authority with \
             --s3-ca-file",
            true,
        );
    }
    match error {
        SdkError::ConstructionFailure(_) => {
            ("the request cannot be made: check --s3-endpoint-url", true)
        }
        _ => ("no answer: check --s3-endpoint-url, and that the store runs", false),
    }
}

/// Error codes by which credential services refuse: asking again is useless.
const REFUSALS: [&str; 7] = [
    "AccessDenied",
    "ExpiredToken",
    "IDPRejectedClaim",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "SignatureDoesNotMatch",
    "UnauthorizedException",
];

/// Whether there are none, or whoever gives them was not to be had.
fn no_credentials(error: &CredentialsError) -> (&'static str, bool) {
    let text = format!("{}", DisplayErrorContext(error));
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile or role",
            true,
        ),
        CredentialsError::InvalidConfiguration(_) => {
            ("the settings of the credentials are wrong: check profile and role", true)
        }
        _ if REFUSALS.iter().any(|refusal| text.contains(refusal)) => {
            ("the credentials were refused: check role and token", true)
        }
        _ => (
            "the service that gives the credentials (STS, SSO or the machine's metadata) failed; \
             without one, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            false,
        ),
    }
}

/// The first of its kind among an error and its causes.
fn find<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    std::iter::successors(Some(error), |error| error.source())
        .find_map(|error| error.downcast_ref::<T>())
}

/// The innermost cause, which is the one that tells something; the SDK's own layers do not.
fn causes<E>(error: &SdkError<E>, code: &str) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(message) = error.message() {
        return format!("{code}: {message}");
    }
    match error.raw_response() {
        Some(response) => format!("HTTP status {} {code}", response.status()),
        None => innermost(error),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Stores of less care leave out what can be done without.
///
/// # Errors
/// What is wrong with it: an object that is not known whole must not pass for one that is not
/// there.
fn object(listed: &aws_sdk_s3::types::Object) -> Result<Object, String> {
    let key = listed.key().ok_or("an object is shown without its key")?;
    let size = listed.size().and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| format!("{key} is shown without its size"))?;
    let modified = listed.last_modified().and_then(|at| i64::try_from(at.as_nanos() / 1000).ok());
    let etag = match listed.e_tag() {
        Some(etag) if !etag.trim_matches('"').is_empty() => etag.to_owned(),
        _ => Object::etag_in_place_of_none(modified),
    };
    let last_modified = Object::stored_at(modified);
    Ok(Object { key: key.into(), etag, size, last_modified })
}
