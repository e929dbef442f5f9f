//! Nothing may hang, not even the end of a thread.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

/// Far longer than a step takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Ends the process if the bar stands still.
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
