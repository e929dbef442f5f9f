//! A present, or a snapshot of a texture, from its message to its end.

use wgpu_core::id::DeviceId;

use crate::api::ids::CanvasEpoch;
use crate::delivery::Reply;
use crate::frame::CopyLayout;
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;

/// So many presents of one device may be in flight before the next one takes the place of the youngest.
pub(crate) const MOST_IN_FLIGHT: usize = 2;

/// So many may be in flight that a `get_image` waits for, so that they cannot be superseded; and one more. As many textures may
/// be in flight for a `get_image`.
const MOST_AWAITED: usize = 8;

/// A present that has its place in the order of its context. It must end: presented, superseded or failed.
#[must_use = "a present that does not end leaves the compositor waiting"]
#[derive(Debug)]
pub(crate) struct Present {
    /// Counts the presents of a context, from 1. Orders frames.
    pub(crate) sequence: u64,
    pub(crate) epoch: CanvasEpoch,
    /// The largest epoch up to this present: what its end acknowledges.
    pub(crate) promised: CanvasEpoch,
    /// Transparent or opaque, should the cleared frame be shown instead.
    pub(crate) alpha_mode: AlphaMode,
}

pub(crate) enum Purpose {
    Present(Present),
    /// A `get_image` with a texture: never shown.
    Capture,
}

/// A copy in flight.
pub(crate) struct Ticket {
    /// Names the ticket within its context.
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    pub(crate) layout: CopyLayout,
    /// `None` while its frame is being made.
    pub(crate) buffer: Option<MappingBuffer>,
    /// Who waits for this very frame.
    pub(crate) replies: Vec<Reply>,
}

impl Ticket {
    /// Its sequence number, if it is a present.
    pub(crate) fn sequence(&self) -> Option<u64> {
        match &self.purpose {
            Purpose::Present(present) => Some(present.sequence),
            Purpose::Capture => None,
        }
    }
}

/// What is in flight of a context, in the order of submission.
#[derive(Default)]
pub(crate) struct Tickets(Vec<Ticket>);

impl Tickets {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn has_room_to_present(&self) -> bool {
        self.presents() <= MOST_AWAITED
    }

    pub(crate) fn has_room_to_capture(&self) -> bool {
        self.len() - self.presents() < MOST_AWAITED
    }

    fn presents(&self) -> usize {
        self.0.iter().filter(|ticket| ticket.sequence().is_some()).count()
    }

    pub(crate) fn is_present(&self, number: u64) -> bool {
        self.0.iter().any(|ticket| ticket.number == number && ticket.sequence().is_some())
    }

    pub(crate) fn push(&mut self, ticket: Ticket) {
        self.0.push(ticket);
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Ticket> {
        let index = self.0.iter().position(|ticket| ticket.number == number)?;
        Some(self.0.remove(index))
    }

    /// What a frame is made of; its ticket stays.
    pub(crate) fn take_buffer(&mut self, number: u64) -> Option<(CopyLayout, MappingBuffer)> {
        let ticket = self.0.iter_mut().find(|ticket| ticket.number == number)?;
        ticket.buffer.take().map(|buffer| (ticket.layout, buffer))
    }

    /// The youngest present of a device, if the next one is to take its place: if `enough` of that device are in flight (what
    /// one loses the other loses too; those of another device do not count, it may hang) and nobody waits for it.
    pub(crate) fn take_youngest(&mut self, device: DeviceId, enough: usize) -> Option<Ticket> {
        let is_present = |ticket: &&Ticket| ticket.sequence().is_some();
        // Without a buffer its frame is being made.
        let arrives =
            |ticket: &&Ticket| ticket.buffer.as_ref().is_none_or(|buffer| buffer.device() == device);
        if self.0.iter().filter(is_present).filter(arrives).count() < enough {
            return None;
        }
        let of_device =
            |ticket: &Ticket| ticket.buffer.as_ref().is_some_and(|buffer| buffer.device() == device);
        let index = self.0.iter().rposition(|ticket| is_present(&ticket) && of_device(ticket))?;
        self.0[index].replies.is_empty().then(|| self.0.remove(index))
    }

    /// Of the newest present; 0 if there is none.
    pub(crate) fn newest_sequence(&self) -> u64 {
        self.0.iter().filter_map(Ticket::sequence).max().unwrap_or(0)
    }

    /// The newest present that is newer than the first one, and not newer than the second.
    pub(crate) fn newest_between(&mut self, after: u64, through: u64) -> Option<&mut Ticket> {
        let between = |ticket: &&mut Ticket| {
            ticket.sequence().is_some_and(|sequence| after < sequence && sequence <= through)
        };
        let newer = self.0.iter_mut().filter(between);
        newer.max_by_key(|ticket| ticket.sequence())
    }

    pub(crate) fn take_all(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.0)
    }
}
