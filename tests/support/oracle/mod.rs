//! The one judge of everything that a presenter, an engine and its renderers may be seen to do.
//!
//! It is told of events in the order in which they happen, keeps what it must know of them, and collects violations of the rules
//! below as text. It uses the public interface alone, panics nowhere, and does not care what tells it: the abstract machine and
//! the table of generations (`src/tests/model`), scripts on the fake GPU (`src/tests/properties`), or threads on real parts
//! (`tests/stress.rs`, `examples/soak.rs`, `fuzz`).
//!
//! Calls
//! - A context id names one context of all presenters at a time; calls that name none, or another presenter's, are refused.
//! - An owner's contexts end together. A context that waits for a transaction of its compositor ends with that transaction.
//! - Presents are numbered from 1. What is wrong with a configuration is returned at once.
//!
//! Presents
//! - Each present ends exactly once, with the epoch that it was given, and with a cause that lies in the script.
//! - Presents of a context are presented in order.
//! - A present is superseded only if something newer is shown in the end, or its device was lost.
//! - The newest good present is what is shown in the end: a cleared drawing buffer, or a copy that its device finished before anything
//!   could overwrite it. A copy that was finished does not fail.
//! - Something newer is shown after at most two rounds, however fast presents come; a round is the time in which a device finishes
//!   all that it was given.
//! - No more than 64 copies of a context are in flight; two on one device while nothing is read, and two more wait for room.
//!   No more than 84 staging buffers are kept, nor more than there are ids.
//! - A context counts its presents as they ended.
//!
//! Image updates
//! - Images are added, updated and deleted in the order in which keys were set. Nothing follows the deletion of an image, a
//!   context has one image at most, and none once it has ended.
//! - WebRender can use each update: an external buffer of this context, not empty, with rows of whole pixels.
//! - Images of a context that are larger than one pixel have one byte order.
//! - A present that began while there was an image is acknowledged after that, before its end is told; a superseded one by what took
//!   its place. Acknowledged epochs of an image never fall, and are never above the largest that was presented.
//! - What is told of a present comes after the updates before it, and after their flush.
//! - Updates that may still be drawn and have the same generation have the same layout.
//!
//! Renderers
//! - What was displayed can be locked, also when its context has ended: then it is blank. Bytes are never fewer than the descriptor asks for;
//!   without a generation, than any that may still be drawn asks for.
//! - They show one whole frame of this context, or of a later one with its id, of the size and alpha mode described.
//! - It is no older than the newest present that was told as presented when the frame was built, nor than another of this layout that this
//!   renderer saw.
//! - It is blank only if a later update was locked before, or if the update was sent for an earlier context with this id.
//! - Locking the same update again shows the same frame, and locked bytes do not change.
//! - What is seen on screen was presented.
//! - All renderers show the newest frame in the end.
//!
//! Reads and waits
//! - Each is answered exactly once.
//! - A read gives what was presented last when it was asked, or why that failed afterwards. A read of a texture gives that texture. Snapshots
//!   do not change.
//! - A wait is told of a present that ended so, with the epoch awaited or a higher one; or that its context or its time is over.
//!
//! Ids
//! - Each id that was handed in comes back exactly once, and may be handed in again at once.
#![allow(dead_code, unreachable_pub, reason = "each user needs a part of it")]

mod compositor;
mod copies;
mod images;
mod lives;
mod picture;
mod presents;
mod reads;
mod witness;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use webgpu_presentation::{ContextId, FrameMemoryKind, ReturnedId};
use webrender_api::{IdNamespace, ImageKey};
use wgpu_core::id::{DeviceId, TextureId};

pub use self::compositor::{Compositor, Upload};
use self::images::{Channel, Image};
pub use self::images::{Offer, byte_len};
use self::lives::Life;
pub use self::picture::{Pattern, Picture};
pub use self::presents::{Request, Trouble};
use self::reads::{Read, Wait};
pub use self::witness::{Sink, Witness};

/// Names a context: ids are used again, this is not.
pub type LifeId = u64;

/// A presenter, and the key of an image there.
type ImageId = (usize, u32, u32);

pub struct Oracle {
    memory: FrameMemoryKind,
    /// Counts events.
    now: u64,
    violations: Violations,
    lives: BTreeMap<LifeId, Life>,
    /// The last transaction that each compositor has done.
    transactions: HashMap<IdNamespace, u64>,
    /// Pictures, lives, reads and waits so far.
    made: u64,
    /// Keys that were set, and whose images were not added yet.
    coming: VecDeque<(usize, ImageKey, LifeId)>,
    images: BTreeMap<ImageId, Image>,
    /// What compositors were told, in order. `None` is a deletion.
    log: Vec<(ImageId, Option<Offer>)>,
    channels: BTreeMap<ContextId, Channel>,
    /// Presenters whose sink was called since the last flush.
    unflushed: BTreeSet<usize>,
    reads: BTreeMap<u64, Read>,
    waits: BTreeMap<u64, Wait>,
    losses: HashMap<DeviceId, Loss>,
    /// How many presents of a presenter may fail without memory, and without a mapping.
    failures: BTreeMap<usize, Failures>,
    lent: HashSet<ReturnedId>,
    returned: Vec<ReturnedId>,
    /// Textures that a presenter is to drop.
    given_up: HashSet<(usize, TextureId)>,
    /// How often each context id was taken, and did not come back since.
    taken: HashMap<ContextId, usize>,
    pub tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Destroyed or dropped by the engine. Copies to owned memory that are in flight are finished all the same.
    Ended,
    Lost,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Failures {
    pub memory: usize,
    pub mappings: usize,
}

/// How much was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub presented: u64,
    pub superseded: u64,
    pub failed: u64,
    pub reads: u64,
    pub locks: u64,
    pub blanks: u64,
}

#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn rule(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        // The first ones tell; a flood of them tells no more.
        if !holds && self.0.len() < 20 {
            self.0.push(violation());
        }
    }
}

impl Oracle {
    pub fn new(memory: FrameMemoryKind) -> Self {
        Self {
            memory,
            now: 0,
            violations: Violations::default(),
            lives: BTreeMap::new(),
            transactions: HashMap::new(),
            made: 0,
            coming: VecDeque::new(),
            images: BTreeMap::new(),
            log: Vec::new(),
            channels: BTreeMap::new(),
            unflushed: BTreeSet::new(),
            reads: BTreeMap::new(),
            waits: BTreeMap::new(),
            losses: HashMap::new(),
            failures: BTreeMap::new(),
            lent: HashSet::new(),
            returned: Vec::new(),
            given_up: HashSet::new(),
            taken: HashMap::new(),
            tally: Tally::default(),
        }
    }

    /// A rule that only the caller can judge.
    pub fn rule(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        self.violations.rule(holds, violation);
    }

    pub fn violations(&self) -> &[String] {
        &self.violations.0
    }

    /// Counts what was told to the engine and to compositors.
    pub fn told(&self) -> u64 {
        self.now
    }

    pub fn new_picture(&mut self) -> u32 {
        self.made += 1;
        (self.made % 0xff_ffff) as u32 + 1
    }

    /// A device is about to be lost, or was found to be.
    pub fn loses(&mut self, device: DeviceId, loss: Loss) {
        let known = self.losses.entry(device).or_insert(loss);
        if loss == Loss::Lost {
            *known = loss;
        }
    }

    /// Copies that were in flight may have failed with their device.
    fn may_lose(&self, device: DeviceId) -> bool {
        match self.losses.get(&device) {
            Some(Loss::Lost) => true,
            Some(Loss::Ended) => self.memory == FrameMemoryKind::Portable,
            None => false,
        }
    }

    pub fn may_fail(&mut self, at: usize) -> &mut Failures {
        self.failures.entry(at).or_default()
    }

    /// An id that came back, if there is one that fits, or else a new one. It is handed in.
    pub fn lend(
        &mut self,
        fits: impl Fn(&ReturnedId) -> bool,
        new: impl FnOnce(u32) -> ReturnedId,
    ) -> ReturnedId {
        let known = self.returned.iter().position(fits).map(|index| self.returned.swap_remove(index));
        let id = known.unwrap_or_else(|| {
            self.made += 1;
            // Far from those that wgpu-core or a fake allocates.
            new(100_000 + self.made as u32)
        });
        self.lent.insert(id);
        id
    }

    /// A texture is handed to a presenter, to be dropped.
    pub fn gives_up(&mut self, at: usize, texture: TextureId) {
        self.given_up.insert((at, texture));
    }

    /// A presenter hands an id back.
    pub fn came_back(&mut self, at: usize, id: ReturnedId) {
        self.now += 1;
        let was_lent = match id {
            ReturnedId::Texture(texture) => self.given_up.remove(&(at, texture)),
            ReturnedId::Context(context) => {
                let named = usize::from(self.named(context).is_some());
                let taken = self.taken.entry(context).or_default();
                let has_ended = *taken > named;
                *taken = taken.saturating_sub(1);
                has_ended
            }
            id => {
                let was_lent = self.lent.remove(&id);
                self.returned.extend(was_lent.then_some(id));
                was_lent
            }
        };
        self.violations
            .rule(was_lent, || format!("{id:?} came back though it was not handed in, or is in use"));
    }

    /// Judges what can be judged when nothing is in flight, everything was told, and `engine` has done all that it must do.
    pub fn quiet(&mut self) {
        self.judge_presents();
        self.judge_images();
        self.judge_reads();
        self.judge_waits();
        let some_live = self.lives.values().any(Life::is_alive);
        let is_kept = |id: &ReturnedId| some_live && matches!(id, ReturnedId::Buffer(_));
        let kept = self.lent.iter().find(|id| !is_kept(id));
        self.violations.rule(kept.is_none(), || format!("{kept:?} did not come back"));
        let kept = self.given_up.iter().next();
        self.violations.rule(kept.is_none(), || format!("{kept:?} was not dropped"));
        for (context, taken) in &self.taken {
            let named = usize::from(self.named(*context).is_some());
            self.violations
                .rule(*taken == named, || format!("{context:?} is kept {taken} times, not {named}"));
        }
    }

    /// Forgets what was judged, so that a long run needs no more memory than a short one. The compositors must forget too.
    pub fn forget(&mut self) {
        self.lives.retain(|_, life| !life.is_gone());
        self.lives.values_mut().for_each(Life::forget);
        self.losses.clear();
        self.log = Vec::new();
        self.reads.clear();
    }
}
