//! How many arenas the allocator of glibc has.
#![allow(unsafe_code, reason = "mallopt has no safe wrapper")]

/// Two, unless the variable that glibc looks at says otherwise.
///
/// By default each thread has one of its own, and what was freed in one is of no use to the others:
/// an hour of 100,000 symbols took 350 MB, and takes 180. To be called before there are threads.
pub fn limit() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: it changes a setting of the allocator's, and has no other conditions. A refusal
        // changes nothing.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
    }
}
