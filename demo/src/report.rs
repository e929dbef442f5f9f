//! What the demo prints at the end.

use std::time::Duration;

use webgpu_presentation::belt::FlushStats;
use webgpu_presentation::{ContextId, ReadbackReason};

use crate::cast::{CAST, Role, short};
use crate::ledger::{Ledger, Tally};
use crate::uploads::Uploads;

/// How many frames of a canvas came to WebRender in each way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    pub direct: u64,
    pub shared: u64,
    pub copied: u64,
    /// Why the last present that was found to be copied was. It is looked up once in each frame of the page.
    pub reason: Option<ReadbackReason>,
}

impl Kinds {
    /// Returns why frames were copied, in the words of [`ReadbackReason`].
    fn why(&self) -> String {
        match self.reason {
            Some(reason) => format!("{reason:?}"),
            None if self.copied > 0 => "unknown".into(),
            None => "-".into(),
        }
    }
}

/// Returns a table with one line for each canvas.
pub fn table(ledger: &Ledger, kinds: &[Kinds]) -> String {
    let mut table = format!(
        "{:<12}{:<17}{:<15}{:>9}{:>11}{:>8}{:>12}{:>12}{:>8}{:>8}{:>8}  {}\n",
        "canvas",
        "format@GPU",
        "alpha",
        "presented",
        "superseded",
        "failed",
        "median",
        "99th pct",
        "direct",
        "shared",
        "copied",
        "why"
    );
    let none = Tally::default();
    for ((role, index), kinds) in CAST.iter().zip(0..).zip(kinds) {
        let tally = ledger.tally(ContextId(index)).unwrap_or(&none);
        table += &format!(
            "{:<12}{:<17}{:<15}{:>9}{:>11}{:>8}{:>12}{:>12}{:>8}{:>8}{:>8}  {}\n",
            role.name,
            formats(role),
            format!("{:?}", role.alpha_mode).to_lowercase(),
            tally.presented,
            tally.superseded,
            tally.failed,
            milliseconds(tally.quantile(0.5)),
            milliseconds(tally.quantile(0.99)),
            kinds.direct,
            kinds.shared,
            kinds.copied,
            kinds.why(),
        );
    }
    table
}

/// Returns what went through the belts, and how much memory they hold for it.
pub fn uploads(uploads: &[Uploads]) -> String {
    let (mut writes, mut copied, mut chunks, mut held) = (0, FlushStats::default(), 0, 0);
    for uploads in uploads {
        writes += uploads.writes();
        copied += uploads.copied();
        chunks += uploads.stats().created;
        held += uploads.stats().bytes;
    }
    format!(
        "{writes} writes in {} copies, {} KiB, through {chunks} chunks; {} KiB of chunks at the end",
        copied.copies,
        copied.bytes >> 10,
        held >> 10
    )
}

/// Returns each format of a canvas with the number of its device.
fn formats(role: &Role) -> String {
    let look = |(device, format): &(usize, _)| format!("{}@{device}", short(*format));
    role.looks.iter().map(look).collect::<Vec<_>>().join(" ")
}

fn milliseconds(latency: Option<Duration>) -> String {
    latency.map_or("-".into(), |latency| format!("{:.2} ms", latency.as_secs_f64() * 1e3))
}
