//! Remembers what threads said that panicked.
//!
//! A thread of Servo that panics leaves the browser running, and its page perhaps waiting for good. The report says so.

use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, PoisonError};
use std::thread;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Remembers panics from now on, and lets them print what they would print anyway.
pub(crate) fn remember() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(describe(info));
        default(info);
    }));
}

/// Returns one line for each panic so far.
pub(crate) fn so_far() -> Vec<String> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn describe(info: &PanicHookInfo) -> String {
    let current = thread::current();
    let thread = current.name().unwrap_or("a thread without a name");
    let said = info.payload_as_str().unwrap_or("something that is no text");
    match info.location() {
        Some(place) => format!("{thread} at {}:{}: {said}", place.file(), place.line()),
        None => format!("{thread}: {said}"),
    }
}
