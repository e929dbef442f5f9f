//! The copies of one context that were asked for and have not ended.
//!
//! A *ticket* stands for one copy of a texture: of a present, which may be shown, or of a capture, which a `get_image` with a texture asked for
//! and which is never shown. It is queued until the copy can be submitted, then in flight until a poller completes it. The context keeps its
//! tickets in [`Tickets`], under its lock, in the order in which they were asked for. A ticket is taken out before it ends, so that it ends
//! exactly once.

use std::time::Instant;

use smallvec::SmallVec;
use wgpu_core::id::DeviceId;

use crate::api::ids::CanvasEpoch;
use crate::api::report::ReadbackReason;
use crate::delivery::Reply;
use crate::frame::{CopyLayout, ImageRead};
use crate::pixels::AlphaMode;
use crate::staging::MappingBuffer;

/// Number of presents of one device in flight from which on the next one takes the place of the youngest.
const MOST_IN_FLIGHT: usize = 2;

/// Upper bound of the copies of one context in flight. More are possible only while reads wait for each of them.
const MOST_COPIES: usize = 64;

/// Upper bound of the reads that wait for copies of one context. It is generous: a page that does not await its reads does not notice it, and one
/// that never awaits them cannot use up memory.
const MOST_READS: usize = 1024;

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
    /// Why it is a copy; `None` if it is none.
    pub(crate) readback: Option<ReadbackReason>,
    /// Reads that wait for the frame of this present. While there are any, it cannot be superseded.
    pub(crate) readers: Vec<Reply>,
}

/// What a texture is copied for.
pub(crate) enum Purpose {
    Present(Present),
    /// Reads of a texture. The image goes to these replies and is never shown.
    Capture(SmallVec<[Reply; 1]>),
}

/// A copy that was asked for.
pub(crate) struct Ticket {
    /// Name of the ticket within its context; never used twice.
    pub(crate) number: u64,
    pub(crate) purpose: Purpose,
    pub(crate) layout: CopyLayout,
    /// What it is a copy of that the context has shown, if it is one.
    pub(crate) of_frame: Option<OfFrame>,
    /// When the copy was asked for.
    pub(crate) asked: Instant,
    pub(crate) stage: Stage,
    /// Images of presents that this one has superseded in flight. They can be used again once this copy is done.
    pub(crate) behind: SmallVec<[MappingBuffer; 1]>,
}

/// A copy of a shared image that is, or is about to be, what the context shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OfFrame {
    /// Sequence number of the present.
    pub(crate) sequence: u64,
    /// The copy is to be shown in the place of the image, which renderers cannot sample any more.
    pub(crate) is_shown: bool,
}

/// How far a copy is.
pub(crate) enum Stage {
    /// It waits to be submitted. Its texture is kept for it.
    Queued,
    /// The GPU copies into this buffer.
    InFlight(MappingBuffer),
    /// A poller makes a frame of it.
    Completing,
}

/// Whether and how a queued copy may be submitted now.
#[expect(
    clippy::large_enum_variant,
    reason = "it is looked at at once, and a box would be allocated for each frame"
)]
pub(crate) enum Admission {
    /// It has ended: it was superseded, or its context was destroyed.
    Ended,
    /// It waits. A newer present is queued, whose submission supersedes this one.
    Waits,
    /// As many copies are in flight as a context may have.
    NoRoom,
    /// It takes the place of this present, and its buffer if it is large enough.
    Supersedes(Ticket),
    /// It needs a buffer of its own.
    Fresh,
    /// It needs a buffer of its own, and may have one if the owner of the context has not too many bytes in flight.
    FreshWithinLimit,
}

/// A buffer whose submission is done, taken out of its ticket.
pub(crate) struct TakenBuffer {
    pub(crate) layout: CopyLayout,
    pub(crate) buffer: MappingBuffer,
    pub(crate) is_present: bool,
    pub(crate) of_frame: Option<OfFrame>,
    pub(crate) behind: SmallVec<[MappingBuffer; 1]>,
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

    /// Number of reads that wait for this copy.
    fn reads(&self) -> usize {
        match &self.purpose {
            Purpose::Present(present) => present.readers.len(),
            Purpose::Capture(replies) => replies.len(),
        }
    }

    fn is_queued(&self) -> bool {
        matches!(self.stage, Stage::Queued)
    }

    /// Whether the GPU of `device` copies it, and no poller is making a frame of it.
    fn is_in_flight_on(&self, device: DeviceId) -> bool {
        matches!(&self.stage, Stage::InFlight(buffer) if buffer.device() == device)
    }

    /// Whether it is a present that a newer one may supersede.
    fn can_be_superseded(&self) -> bool {
        self.present().is_some_and(|present| present.readers.is_empty())
    }
}

impl Stage {
    pub(crate) fn buffer(&self) -> Option<&MappingBuffer> {
        match self {
            Self::InFlight(buffer) => Some(buffer),
            Self::Queued | Self::Completing => None,
        }
    }

    /// Returns the buffer of a copy in flight.
    pub(crate) fn into_buffer(self) -> Option<MappingBuffer> {
        match self {
            Self::InFlight(buffer) => Some(buffer),
            Self::Queued | Self::Completing => None,
        }
    }
}

/// The tickets of one context, in the order in which they were asked for.
#[derive(Default)]
pub(crate) struct Tickets(Vec<Ticket>);

impl Tickets {
    /// Number of copies that were asked for and have not ended.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.0.iter().any(|ticket| ticket.number == number)
    }

    /// The sequence number of a present and the epoch that its end acknowledges. `None` if it has ended.
    pub(crate) fn promise(&self, number: u64) -> Option<(u64, CanvasEpoch)> {
        let ticket = self.0.iter().find(|ticket| ticket.number == number)?;
        ticket.present().map(|present| (present.sequence, present.promised))
    }

    /// Whether one more read may wait for a copy.
    pub(crate) fn has_room_to_read(&self) -> bool {
        self.0.iter().map(Ticket::reads).sum::<usize>() < MOST_READS
    }

    /// Puts a ticket back that was taken out, to its place among the presents.
    pub(crate) fn put_back(&mut self, ticket: Ticket) {
        let sequence = ticket.present().map(|present| present.sequence);
        let is_newer = |other: &Ticket| other.present().map(|present| present.sequence) > sequence;
        let index = self.0.iter().position(is_newer).unwrap_or(self.0.len());
        self.0.insert(index, ticket);
    }

    /// Puts a new ticket in. Returns the queued present that it supersedes, if any.
    ///
    /// Of the queued presents that no read waits for two are kept: the newest, and the one before in case the newest cannot be copied.
    pub(crate) fn push(&mut self, ticket: Ticket) -> Option<Ticket> {
        let superseded = ticket.present().and_then(|_| {
            let queued = |ticket: &Ticket| ticket.is_queued() && ticket.can_be_superseded();
            let oldest = self.0.iter().position(queued)?;
            let has_newer = self.0[oldest + 1..].iter().any(queued);
            has_newer.then(|| self.0.remove(oldest))
        });
        self.0.push(ticket);
        superseded
    }

    /// A copy of a shared image that this present has made, or that a reply can wait for.
    pub(crate) fn image_copy(&mut self, sequence: u64) -> Option<&mut Ticket> {
        let is_same = |of_frame: OfFrame| of_frame.sequence == sequence;
        self.0.iter_mut().find(|ticket| ticket.of_frame.is_some_and(is_same))
    }

    /// The replies of a queued capture.
    pub(crate) fn queued_capture(&mut self, number: u64) -> Option<&mut SmallVec<[Reply; 1]>> {
        let ticket = self.0.iter_mut().find(|ticket| ticket.number == number && ticket.is_queued())?;
        match &mut ticket.purpose {
            Purpose::Capture(replies) => Some(replies),
            Purpose::Present(_) => None,
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Ticket> {
        let index = self.0.iter().position(|ticket| ticket.number == number)?;
        Some(self.0.remove(index))
    }

    /// Decides about a queued copy, which is to be made on `device`.
    ///
    /// A present is superseded for the sake of others of its device only, because another device may hang. Presents whose frame is being made
    /// count, since they will arrive, but are not taken. The bound of copies counts those of all devices.
    pub(crate) fn admit(&mut self, number: u64, device: DeviceId) -> Admission {
        let Some(index) = self.0.iter().position(|ticket| ticket.number == number) else {
            return Admission::Ended;
        };
        let in_flight = self.0.iter().filter(|ticket| !ticket.is_queued());
        let within_limit = if in_flight.clone().count() < MOST_COPIES {
            Admission::FreshWithinLimit
        } else {
            Admission::NoRoom
        };
        if self.0[index].present().is_none() {
            let is_only = in_flight.clone().all(|ticket| ticket.present().is_some());
            return if is_only { Admission::Fresh } else { within_limit };
        }
        let newer_is_queued =
            self.0[index + 1..].iter().any(|ticket| ticket.is_queued() && ticket.present().is_some());
        if newer_is_queued && self.0[index].can_be_superseded() {
            return Admission::Waits;
        }
        let presents = in_flight.filter(|ticket| ticket.present().is_some());
        if presents.clone().count() < MOST_IN_FLIGHT {
            return Admission::Fresh;
        }
        let arrives =
            |ticket: &&Ticket| matches!(ticket.stage, Stage::Completing) || ticket.is_in_flight_on(device);
        if presents.filter(arrives).count() < MOST_IN_FLIGHT {
            return within_limit;
        }
        self.take_youngest(device).map_or(within_limit, Admission::Supersedes)
    }

    /// Takes out the youngest present in flight on a device, unless a read waits for it.
    pub(crate) fn take_youngest(&mut self, device: DeviceId) -> Option<Ticket> {
        let youngest = |ticket: &Ticket| ticket.present().is_some() && ticket.is_in_flight_on(device);
        let index = self.0.iter().rposition(youngest)?;
        self.0[index].can_be_superseded().then(|| self.0.remove(index))
    }

    /// Leaves images of a present that was superseded to the ticket that has taken its place.
    pub(crate) fn leave_behind(&mut self, number: u64, superseded: Ticket) {
        let Some(ticket) = self.0.iter_mut().find(|ticket| ticket.number == number) else { return };
        ticket.behind.extend(superseded.behind);
        ticket.behind.extend(superseded.stage.into_buffer().filter(MappingBuffer::is_image));
    }

    /// A queued copy was submitted. Returns the present, if it is one, whose sequence number is that of the result; and the queued presents that
    /// it supersedes. Returns the buffer if the ticket has ended.
    pub(crate) fn submitted(
        &mut self,
        number: u64,
        buffer: MappingBuffer,
    ) -> Result<Option<(u64, Vec<Ticket>)>, MappingBuffer> {
        let Some(index) = self.0.iter().position(|ticket| ticket.number == number) else {
            return Err(buffer);
        };
        self.0[index].stage = Stage::InFlight(buffer);
        let Some(sequence) = self.0[index].present().map(|present| present.sequence) else { return Ok(None) };
        let mut superseded = Vec::new();
        let is_superseded = |ticket: &mut Ticket| {
            ticket.is_queued()
                && ticket.can_be_superseded()
                && ticket.present().is_some_and(|present| present.sequence < sequence)
        };
        superseded.extend(self.0.extract_if(.., is_superseded));
        Ok(Some((sequence, superseded)))
    }

    /// Takes the buffer out of a ticket in flight, which stays until its frame is made. `None` if the ticket has ended or its buffer was taken
    /// before.
    pub(crate) fn take_buffer(&mut self, number: u64) -> Option<TakenBuffer> {
        let ticket = self.0.iter_mut().find(|ticket| ticket.number == number)?;
        let Stage::InFlight(_) = ticket.stage else { return None };
        let buffer = std::mem::replace(&mut ticket.stage, Stage::Completing).into_buffer()?;
        let (is_present, of_frame) = (ticket.present().is_some(), ticket.of_frame);
        let behind = std::mem::take(&mut ticket.behind);
        Some(TakenBuffer { layout: ticket.layout, buffer, is_present, of_frame, behind })
    }

    /// The sequence number of the newest present that has not ended; 0 if there is none.
    pub(crate) fn newest_sequence(&self) -> u64 {
        self.0.iter().filter_map(Ticket::present).map(|present| present.sequence).max().unwrap_or(0)
    }

    /// Whether reads wait for a present.
    pub(crate) fn is_read(&self, number: u64) -> bool {
        self.0.iter().any(|ticket| ticket.number == number && ticket.reads() > 0)
    }

    /// The shared image that the newest present above `after` is being copied to, if it is, and its sequence number.
    pub(crate) fn newest_image_after(&self, after: u64) -> Option<(ImageRead, u64)> {
        let presents = self.0.iter().filter_map(|ticket| Some((ticket, ticket.present()?.sequence)));
        let (ticket, sequence) = presents.filter(|(_, sequence)| after < *sequence).max_by_key(|it| it.1)?;
        let buffer = ticket.stage.buffer()?;
        let (source, device, uuids) = (buffer.copy_source()?, buffer.device(), buffer.uuids()?);
        Some((ImageRead { source, device, uuids, layout: ticket.layout }, sequence))
    }

    /// The newest present that has not ended and whose sequence number is above `after`, and its layout.
    pub(crate) fn newest_after(&mut self, after: u64) -> Option<(CopyLayout, &mut Present)> {
        let presents = self.0.iter_mut().filter_map(|ticket| {
            let layout = ticket.layout;
            ticket.present_mut().map(|present| (layout, present))
        });
        presents.filter(|(_, present)| after < present.sequence).max_by_key(|(_, present)| present.sequence)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.0)
    }
}
