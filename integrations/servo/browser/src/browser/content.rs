//! A content process: script and layout of pages, for a browser in another process.
//!
//! With `--multiprocess` Servo starts this program again, with a token by which it finds the browser.

use std::os::unix::process::parent_id;
use std::process;
use std::thread;
use std::time::Duration;

/// Serves the browser until it has no more work, or has died.
pub(crate) fn serve(token: String) {
    let browser = parent_id();
    thread::spawn(move || {
        while parent_id() == browser {
            thread::sleep(Duration::from_millis(200));
        }
        process::exit(1);
    });
    servo::run_content_process(token);
}
