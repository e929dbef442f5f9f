//! A frame that is verified: what was drawn, what `get_image` answers, and what the page shows.

use std::sync::mpsc::{Receiver, channel};

use webgpu_presentation::{ContextId, GetImageError, Presenter, Snapshot};

use crate::failure::Failure;
use crate::ledger::PATIENCE;
use crate::verify::{Drawn, Pages};

pub struct Sample {
    pub frame: u32,
    /// Read before they are presented.
    pub drawn: Vec<(ContextId, Drawn)>,
}

/// Images on their way.
#[must_use = "they are to be compared"]
pub struct Asked(Vec<Receiver<Result<Snapshot, GetImageError>>>);

impl Sample {
    /// Asks for each canvas as it was just presented, while its copy is in flight.
    pub fn ask(&self, presenter: &mut Presenter) -> Asked {
        let ask = |(context, _): &(ContextId, Drawn)| {
            let (sender, image) = channel();
            // Nobody listens any more after a failure.
            presenter.get_image(*context, None, move |answer| drop(sender.send(answer)));
            image
        };
        Asked(self.drawn.iter().map(ask).collect())
    }

    /// Every image is what was drawn.
    pub fn compare_images(&self, asked: Asked) -> Result<(), Failure> {
        for ((_, drawn), image) in self.drawn.iter().zip(asked.0) {
            let late = |_| Failure::Late { what: "get_image", seconds: PATIENCE.as_secs(), missing: 1 };
            let image = image.recv_timeout(PATIENCE).map_err(late)?;
            let right = image.is_ok_and(|image| {
                let bytes = image.to_vec();
                image.format() == drawn.format
                    && bytes.as_chunks::<4>().0.iter().copied().eq(drawn.presented())
            });
            if !right {
                return Err(Failure::Snapshot { frame: self.frame, canvas: drawn.canvas });
            }
        }
        Ok(())
    }

    /// Every canvas is on the page.
    pub fn compare_page(&self, pages: &Pages) -> Result<(), Failure> {
        self.drawn.iter().try_for_each(|(_, drawn)| pages.compare(self.frame, drawn))
    }
}
