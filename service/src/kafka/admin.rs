//! Parts that questions by librdkafka's admin interface have in common.
#![allow(
    unsafe_code,
    reason = "the rdkafka crate wraps only a part of librdkafka's admin interface"
)]

use rdkafka::bindings as c;
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// How much longer than librdkafka this side waits: what it says of the end tells more than
/// silence.
const GRACE: Duration = Duration::from_secs(1);

/// An object that must be given back to librdkafka.
pub(super) struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    /// `give_back` must be what frees the object.
    pub(super) unsafe fn new(
        object: *mut T,
        give_back: unsafe extern "C" fn(*mut T),
    ) -> Option<Self> {
        NonNull::new(object).map(|object| Self(object, give_back))
    }

    pub(super) fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: by `new`.
        unsafe { (self.1)(self.0.as_ptr()) }
    }
}

/// The client's answer to a question.
pub(super) type Event = Owned<c::rd_kafka_event_t>;

/// Questions that are put at once, and a queue that their answers come to. Questions without an
/// answer when this is dropped are forgotten.
pub(super) struct Questions {
    // They are dropped in this order.
    options: Owned<c::rd_kafka_AdminOptions_t>,
    queue: Owned<c::rd_kafka_queue_t>,
    deadline: Instant,
}

impl Questions {
    /// `None` where memory is out.
    ///
    /// # Safety
    /// The client must be valid, and outlive the questions.
    pub(super) unsafe fn new(
        client: *mut c::rd_kafka_t,
        operation: c::rd_kafka_admin_op_t,
        patience: Duration,
    ) -> Option<Self> {
        let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: every object is freed once, by `Owned`, after its last use.
        unsafe {
            let queue = Owned::new(c::rd_kafka_queue_new(client), c::rd_kafka_queue_destroy)?;
            let options = c::rd_kafka_AdminOptions_new(client, operation);
            let options = Owned::new(options, c::rd_kafka_AdminOptions_destroy)?;
            c::rd_kafka_AdminOptions_set_request_timeout(
                options.get(),
                millis,
                std::ptr::null_mut(),
                0,
            );
            Some(Self { options, queue, deadline: Instant::now() + patience + GRACE })
        }
    }

    /// The next question goes to this broker.
    pub(super) fn to_broker(&self, broker: i32) {
        // SAFETY: the options are valid; that they do not take the broker would show in the answer.
        unsafe {
            c::rd_kafka_AdminOptions_set_broker(self.options.get(), broker, std::ptr::null_mut(), 0)
        };
    }

    pub(super) fn options(&self) -> *mut c::rd_kafka_AdminOptions_t {
        self.options.get()
    }

    pub(super) fn queue(&self) -> *mut c::rd_kafka_queue_t {
        self.queue.get()
    }

    /// The next answer; `None` where none comes in time.
    pub(super) fn answer(&self) -> Option<Event> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is valid, and the event is ours.
        unsafe {
            Owned::new(c::rd_kafka_queue_poll(self.queue.get(), millis), c::rd_kafka_event_destroy)
        }
    }
}

/// # Safety
/// `words` must be null or a C string.
pub(super) unsafe fn text(words: *const c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
}
