//! What the demo prints at the end.

use std::time::Duration;

use webgpu_presentation::belt::FlushStats;
use webgpu_presentation::{ContextId, ReadbackReason};

use crate::cast::{CAST, Role, short};
use crate::ledger::{Ledger, Tally};
use crate::options::Frames;
use crate::uploads::Uploads;

/// How many frames of a canvas came to WebRender in each way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    pub direct: u64,
    pub shared: u64,
    pub copied: u64,
    /// Why a present was copied: the last reason that does not pass by itself, if there was one. It is looked up once in each
    /// frame of the page.
    pub reason: Option<ReadbackReason>,
}

impl Kinds {
    /// Notes why the latest present was copied.
    pub fn note(&mut self, reason: Option<ReadbackReason>) {
        if !self.reason.is_some_and(is_lasting) || reason.is_some_and(is_lasting) {
            self.reason = reason.or(self.reason);
        }
    }

    /// Whether frames were copied although all of them were to come in another way. While all images of a canvas are in
    /// use a copy is right, but a canvas of which most frames are copied does not get its images back.
    ///
    /// A copy of a frame that was to be shared has no reason of its own, so those are only counted.
    pub fn are_copied_without_need(&self, frames: Frames) -> bool {
        match frames {
            Frames::Auto | Frames::Readback => false,
            Frames::Direct => self.copied > self.direct || self.reason.is_some_and(is_lasting),
            Frames::Shared => self.copied > self.shared,
        }
    }

    /// Returns why frames were copied, in the words of [`ReadbackReason`].
    fn why(&self) -> String {
        match self.reason {
            Some(reason) => format!("{reason:?}"),
            None if self.copied > 0 => "unknown".into(),
            None => "-".into(),
        }
    }
}

/// Whether a reason stays when the renderer and the GPU have given back what they used.
fn is_lasting(reason: ReadbackReason) -> bool {
    reason != ReadbackReason::ImagesInUse
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_needless_unless_the_images_were_in_use() {
        let kinds = |[direct, copied]: [u64; 2], reasons: &[ReadbackReason]| {
            let mut kinds = Kinds { direct, copied, ..Kinds::default() };
            reasons.iter().for_each(|reason| kinds.note(Some(*reason)));
            kinds.note(None);
            kinds
        };
        let (passing, lasting) = (ReadbackReason::ImagesInUse, ReadbackReason::Texture);
        assert!(!kinds([5, 0], &[]).are_copied_without_need(Frames::Direct));
        assert!(!kinds([4, 1], &[passing]).are_copied_without_need(Frames::Direct));
        assert!(kinds([1, 4], &[passing]).are_copied_without_need(Frames::Direct));
        for reasons in [[lasting, passing], [passing, lasting]] {
            let kinds = kinds([4, 1], &reasons);
            assert!(kinds.are_copied_without_need(Frames::Direct));
            assert!(!kinds.are_copied_without_need(Frames::Auto));
            assert_eq!(kinds.reason, Some(lasting));
        }
    }
}
