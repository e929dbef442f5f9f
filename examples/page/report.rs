//! The table at the end.

use std::time::Duration;

use crate::ledger::Account;

/// A row per canvas.
pub fn table<'a>(accounts: impl IntoIterator<Item = (&'a str, Account)>) -> String {
    let mut text = format!(
        "{:<10} {:>9} {:>10} {:>6} {:>10} {:>10}\n",
        "canvas", "presented", "superseded", "failed", "median", "p99"
    );
    let mut failures = 0;
    for (name, account) in accounts {
        let Account { presented, superseded, failed, .. } = account;
        let [median, p99] = [0.5, 0.99].map(|part| milliseconds(account.quantile(part)));
        text += &format!("{name:<10} {presented:>9} {superseded:>10} {failed:>6} {median:>10} {p99:>10}\n");
        failures += failed;
    }
    if failures > 0 {
        text += "A present fails when its context is destroyed while it is in flight.\n";
    }
    text
}

fn milliseconds(latency: Option<Duration>) -> String {
    latency.map_or_else(|| "-".into(), |latency| format!("{:.2} ms", latency.as_secs_f64() * 1e3))
}
