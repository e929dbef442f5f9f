//! What must become of everything, naively.

use std::collections::HashMap;

use euclid::default::Size2D;

use super::step::Trouble;
use crate::{PresentEnd, PresentError};

/// A life of a context id.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: u64,
    /// Its presenter.
    pub(super) at: usize,
    pub(super) owner: u64,
    pub(super) size: Size2D<u32>,
    pub(super) state: State,
    pub(super) provided: usize,
    /// By sequence number, from 1.
    pub(super) presents: Vec<Present>,
    /// Its images, as its presenter counts them. It has the last one.
    pub(super) images: Vec<usize>,
    pub(super) reads: usize,
    /// The last of its offers that was locked, or an earlier one.
    pub(super) locked: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    /// Until a transaction of its compositor.
    Lingering(u32, u64),
    Gone,
}

/// A present, or a texture of a `get_image`.
#[derive(Clone, Debug)]
pub(super) struct Present {
    pub(super) epoch: u64,
    pub(super) picture: Picture,
    /// The device of its texture, if it has one with pixels.
    pub(super) device: Option<u32>,
    pub(super) trouble: Trouble,
    /// It may not have been submitted when its context ended.
    pub(super) batched: bool,
    /// The image that is owed its epoch.
    pub(super) image: Option<usize>,
    /// Which of the presents of this context id and sequence number it is, at its presenter.
    pub(super) nth: usize,
}

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Red, green, blue, alpha.
    pub(super) pixel: [u8; 4],
    pub(super) size: Size2D<u32>,
}

/// Where there is no picture.
pub(super) const BLANK: [u8; 4] = [0; 4];

impl Picture {
    pub(super) fn cleared(size: Size2D<u32>, opaque: bool) -> Self {
        Self { pixel: if opaque { [0, 0, 0, 255] } else { BLANK }, size }
    }

    pub(super) fn is_cleared(&self) -> bool {
        self.pixel[..3] == [0; 3]
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.pixel[3] == 255
    }
}

impl Present {
    /// What the canvas shows after such an end, if it is another picture.
    pub(super) fn shows(&self, end: &PresentEnd) -> Option<Picture> {
        match end {
            PresentEnd::Presented => Some(self.picture),
            PresentEnd::Failed(
                PresentError::TextureInvalid | PresentError::TextureDestroyed | PresentError::TooLarge(_),
            ) => Some(Picture::cleared(self.picture.size, self.picture.is_opaque())),
            _ => None,
        }
    }
}

impl Life {
    pub(super) fn is_alive(&self) -> bool {
        self.state == State::Alive
    }

    /// Whether presents can supersede each other. (Those of different devices cannot.)
    pub(super) fn is_on_one_device(&self) -> bool {
        let devices = self.presents.iter().filter_map(|present| present.device);
        devices.clone().min() == devices.max()
    }

    /// Its image may not be told of other presents than these.
    pub(super) fn owe_what(&mut self, is_owed: impl Fn(u64, usize, &Present) -> bool) {
        for (index, present) in self.presents.iter_mut().enumerate() {
            if !is_owed(self.id, index + 1, present) {
                present.image = None;
            }
        }
    }

    /// The newest of the first so many presents that the canvas shows, with its sequence number.
    pub(super) fn newest(&self, ends: &[PresentEnd], until: usize) -> (usize, Picture) {
        let presents = self.presents.iter().zip(ends).take(until).enumerate();
        let mut shown = presents.filter_map(|(index, (present, end))| Some((index + 1, present.shows(end)?)));
        shown.next_back().unwrap_or((0, Picture::cleared(self.size, false)))
    }
}

/// Who asked for an image: of which life, when so many presents had begun; or of a texture.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) life: Option<usize>,
    pub(super) begun: usize,
    pub(super) texture: Option<Present>,
}

/// Who waits for a present.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) context: u64,
    pub(super) epoch: u64,
    pub(super) patient: bool,
}

/// What compositors have done.
#[derive(Debug, Default)]
pub(super) struct Compositors(HashMap<u32, u64>);

impl Compositors {
    pub(super) fn have_done(&self, compositor: u32, transaction: u64) -> bool {
        self.0.get(&compositor) >= Some(&transaction)
    }

    pub(super) fn done(&mut self, compositor: u32, transaction: u64, lives: &mut [Life]) {
        let done = self.0.entry(compositor).or_default();
        *done = transaction.max(*done);
        for life in lives {
            if let State::Lingering(of, until) = life.state
                && of == compositor
                && until <= *done
            {
                life.state = State::Gone;
            }
        }
    }
}
