//! Questions that librdkafka answers by its admin interface alone, which the rdkafka crate wraps only in part: what
//! [`super::topic_id`] and [`super::members`] have in common.
#![allow(unsafe_code, reason = "the admin interface's descriptions have no safe wrapper in rdkafka")]

use rdkafka::bindings as c;
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;
use std::time::Duration;

/// What must be given back to librdkafka.
pub struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    /// # Safety
    /// `give_back` must be what frees the object.
    pub unsafe fn new(object: *mut T, give_back: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(object).map(|object| Self(object, give_back))
    }

    pub fn get(&self) -> *mut T {
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
pub type Event = Owned<c::rd_kafka_event_t>;

/// Puts a question by `send`, and waits for its answer at most for `patience`.
///
/// # Errors
/// Nobody answers.
///
/// # Safety
/// The client must be valid, and `send` must put one question to it.
pub unsafe fn ask(
    client: *mut c::rd_kafka_t,
    operation: c::rd_kafka_admin_op_t,
    patience: Duration,
    send: impl FnOnce(*mut c::rd_kafka_AdminOptions_t, *mut c::rd_kafka_queue_t),
) -> Result<Event, String> {
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every object is freed once, by `Owned`, after its last use; the client outlives them.
    unsafe {
        let queue = Owned::new(c::rd_kafka_queue_new(client), c::rd_kafka_queue_destroy);
        let options = Owned::new(c::rd_kafka_AdminOptions_new(client, operation), c::rd_kafka_AdminOptions_destroy);
        let (Some(queue), Some(options)) = (queue, options) else {
            return Err("librdkafka has no memory".to_owned());
        };
        c::rd_kafka_AdminOptions_set_request_timeout(options.get(), millis, std::ptr::null_mut(), 0);
        send(options.get(), queue.get());
        let event = c::rd_kafka_queue_poll(queue.get(), millis.saturating_add(1000));
        Owned::new(event, c::rd_kafka_event_destroy).ok_or_else(|| "no answer in time".to_owned())
    }
}

/// # Safety
/// `words` must be null or a C string.
pub unsafe fn text(words: *const c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
}
