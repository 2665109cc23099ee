//! The running stack: where it is, names that nobody else has on it, and clearing away behind a
//! test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The value of a `STACK_*` variable, which `cargo xtask test` sets and `cargo xtask stack up`
/// writes to its `env` file.
pub fn stack(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set, so there is no local stack to test against: run `cargo xtask test`"
        )
    })
}

/// A name that no other test uses at the same time, in this process or another one; fit for
/// databases, topics and buckets.
pub fn unique_name(kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{kind}-{clock:x}-{}-{number}", std::process::id())
}

/// Runs `cleanup` to its end on a thread and runtime of its own: `Drop` is not async, and may run
/// while a test panics.
pub fn clean_up<F>(cleanup: impl FnOnce() -> F + Send + 'static)
where
    F: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(cleanup());
        }
    });
    // Its panic would only hide the test's own.
    let _ = thread.join();
}
