//! The copies of one context that are in flight, from their submission to their end.
//!
//! A *ticket* stands for one submitted copy of a texture: of a present, which may be shown, or of a capture, which a
//! `get_image` with a texture asked for and which is never shown. The context keeps its tickets in [`Tickets`], under its lock,
//! in the order of submission. A ticket is taken out before it ends, so that it ends exactly once.

use wgpu_core::id::DeviceId;

use crate::api::ids::CanvasEpoch;
use crate::delivery::Reply;
use crate::frame::CopyLayout;
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;

/// Number of presents of one device in flight from which on the next one takes the place of the youngest.
pub(crate) const MOST_IN_FLIGHT: usize = 2;

/// Upper bound of presents in flight that reads wait for, and that can therefore not be superseded; also the upper bound of
/// captures in flight.
const MOST_AWAITED: usize = 8;

/// A present that has its place in the order of its context. It must end: presented, superseded or failed.
#[must_use = "a present that does not end leaves the compositor waiting"]
pub(crate) struct Present {
    /// Position among the presents of the context, from 1. Frames are ordered by it.
    pub(crate) sequence: u64,
    pub(crate) epoch: CanvasEpoch,
    /// The largest epoch of all presents up to this one: the epoch that its end acknowledges.
    pub(crate) promised: CanvasEpoch,
    /// Alpha mode of the cleared frame, should that be shown instead.
    pub(crate) alpha_mode: AlphaMode,
    /// Reads that wait for the frame of this present. While there are any, it cannot be superseded.
    pub(crate) readers: Vec<Reply>,
}

/// What a texture is copied for.
pub(crate) enum Purpose {
    Present(Present),
    /// A `get_image` with a texture. The frame goes to this reply and is never shown.
    Capture(Reply),
}

/// A copy in flight.
pub(crate) struct Ticket {
    /// Name of the ticket within its context; never used twice.
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    pub(crate) layout: CopyLayout,
    /// `None` while a poller makes a frame of it.
    pub(crate) buffer: Option<MappingBuffer>,
}

/// A buffer whose submission is done, taken out of its ticket.
pub(crate) struct TakenBuffer {
    pub(crate) layout: CopyLayout,
    pub(crate) buffer: MappingBuffer,
    pub(crate) is_present: bool,
}

impl Ticket {
    /// The present, unless this is a capture.
    fn present(&self) -> Option<&Present> {
        match &self.purpose {
            Purpose::Present(present) => Some(present),
            Purpose::Capture(_) => None,
        }
    }

    fn present_mut(&mut self) -> Option<&mut Present> {
        match &mut self.purpose {
            Purpose::Present(present) => Some(present),
            Purpose::Capture(_) => None,
        }
    }

    /// Whether it copies on `device` and no poller is making a frame of it.
    fn is_pending_on(&self, device: DeviceId) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| buffer.device() == device)
    }
}

/// The tickets of one context, in the order of submission.
#[derive(Default)]
pub(crate) struct Tickets(Vec<Ticket>);

impl Tickets {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether one more present may be submitted beside those in flight.
    pub(crate) fn has_room_to_present(&self) -> bool {
        self.presents().count() <= MOST_AWAITED
    }

    /// Whether one more capture may be submitted.
    pub(crate) fn has_room_to_capture(&self) -> bool {
        self.len() - self.presents().count() < MOST_AWAITED
    }

    fn presents(&self) -> impl Iterator<Item = &Present> {
        self.0.iter().filter_map(Ticket::present)
    }

    pub(crate) fn push(&mut self, ticket: Ticket) {
        self.0.push(ticket);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Ticket> {
        let index = self.0.iter().position(|ticket| ticket.number == number)?;
        Some(self.0.remove(index))
    }

    /// Takes the buffer out of a ticket, which stays until its frame is made. `None` if the ticket has ended or its buffer was
    /// taken before.
    pub(crate) fn take_buffer(&mut self, number: u64) -> Option<TakenBuffer> {
        let ticket = self.0.iter_mut().find(|ticket| ticket.number == number)?;
        let buffer = ticket.buffer.take()?;
        Some(TakenBuffer { layout: ticket.layout, buffer, is_present: ticket.present().is_some() })
    }

    /// Takes out the youngest present of a device, if the next present is to take its place: at least `enough` presents of that
    /// device are in flight, and no read waits for the youngest.
    ///
    /// Presents of other devices do not count, because such a device may hang. Presents whose frame is being made count, since
    /// they will arrive, but are not taken.
    pub(crate) fn take_youngest(&mut self, device: DeviceId, enough: usize) -> Option<Ticket> {
        let arrives = |ticket: &&Ticket| ticket.buffer.is_none() || ticket.is_pending_on(device);
        if self.0.iter().filter(|ticket| ticket.present().is_some()).filter(arrives).count() < enough {
            return None;
        }
        let youngest = |ticket: &Ticket| ticket.present().is_some() && ticket.is_pending_on(device);
        let index = self.0.iter().rposition(youngest)?;
        let is_awaited = self.0[index].present().is_some_and(|present| !present.readers.is_empty());
        (!is_awaited).then(|| self.0.remove(index))
    }

    /// The sequence number of the newest present in flight; 0 if none is.
    pub(crate) fn newest_sequence(&self) -> u64 {
        self.presents().map(|present| present.sequence).max().unwrap_or(0)
    }

    /// The newest present in flight whose sequence number is above `after` and not above `through`, and its layout.
    pub(crate) fn newest_between(&mut self, after: u64, through: u64) -> Option<(CopyLayout, &mut Present)> {
        let presents = self.0.iter_mut().filter_map(|ticket| {
            let layout = ticket.layout;
            ticket.present_mut().map(|present| (layout, present))
        });
        presents
            .filter(|(_, present)| after < present.sequence && present.sequence <= through)
            .max_by_key(|(_, present)| present.sequence)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.0)
    }
}
