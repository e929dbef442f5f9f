//! Ends the process if a side hangs, be it at the end of a thread.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// How long the progress bar may stand still. A step takes far less.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a thread that ends the process if the bar stands still for too long.
pub fn watch(bar: ProgressBar) {
    std::thread::spawn(move || {
        let (mut position, mut since) = (bar.position(), Instant::now());
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if bar.position() != position {
                (position, since) = (bar.position(), Instant::now());
            } else if since.elapsed() > LIMIT {
                eprintln!("error: {} does not go on", bar.message());
                std::process::exit(1);
            }
        }
    });
}
