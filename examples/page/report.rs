//! What is said at the end.

use std::time::Duration;

use webgpu_presentation::ContextId;

use crate::cast::{CAST, Role, short};
use crate::ledger::{Ledger, Tally};

/// One line for each canvas.
pub fn table(ledger: &Ledger) -> String {
    let mut table = format!(
        "{:<12}{:<17}{:<15}{:>9}{:>11}{:>8}{:>12}{:>12}\n",
        "canvas", "format@GPU", "alpha", "presented", "superseded", "failed", "median", "99th pct"
    );
    let none = Tally::default();
    for (role, index) in CAST.iter().zip(0..) {
        let tally = ledger.tally(ContextId(index)).unwrap_or(&none);
        table += &format!(
            "{:<12}{:<17}{:<15}{:>9}{:>11}{:>8}{:>12}{:>12}\n",
            role.name,
            formats(role),
            format!("{:?}", role.alpha_mode).to_lowercase(),
            tally.presented,
            tally.superseded,
            tally.failed,
            milliseconds(tally.quantile(0.5)),
            milliseconds(tally.quantile(0.99)),
        );
    }
    table
}

/// Each format with the number of its device.
fn formats(role: &Role) -> String {
    let look = |(device, format): &(usize, _)| format!("{}@{device}", short(*format));
    role.looks.iter().map(look).collect::<Vec<_>>().join(" ")
}

fn milliseconds(latency: Option<Duration>) -> String {
    latency.map_or("-".into(), |latency| format!("{:.2} ms", latency.as_secs_f64() * 1e3))
}
