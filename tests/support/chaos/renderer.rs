//! A renderer that reads every byte of what it is offered: it may skip updates, lock each tile, hold locks for a while, and lag.

use std::sync::Arc;
use std::time::{Duration, Instant};

use webgpu_presentation::{ContextId, ContextMap, ExternalImages};
use webrender_api::{
    ExternalImageId, ExternalImageSource, ImageDescriptor, ImageDescriptorFlags, ImageFormat,
};

use super::super::oracle::{Compositor, LifeId, Oracle, Picture, Upload, Witness, byte_len};
use super::Setup;
use super::step::Below;

/// Updates that a renderer locks late, at most.
const MOST_PAST: u32 = 60;
/// Locks held at once by one that draws at random, at most.
const MOST_HELD: usize = 3;
/// Bytes that are compared to tell whether a lock has changed.
pub const COMPARED: usize = 16 << 10;

pub struct Renderer {
    pub images: ExternalImages,
    compositor: Compositor,
    witness: Arc<Witness>,
    setup: Setup,
    /// In the order in which they were locked first.
    pub held: Vec<Held>,
    /// It draws no more: the map that it belonged to is gone.
    pub is_over: bool,
}

/// A lock, and what it read.
pub struct Held {
    pub context: ContextId,
    /// What the id named.
    life: Option<LifeId>,
    pub generation: Option<u8>,
    descriptor: Option<ImageDescriptor>,
    /// Where the bytes are.
    place: usize,
    pub count: usize,
    pub bytes: Vec<u8>,
    seen: Option<Picture>,
}

impl Renderer {
    pub fn new(map: &ContextMap, witness: &Arc<Witness>, setup: Setup) -> Self {
        let (images, witness) = (ExternalImages::new(map), witness.clone());
        Self { images, compositor: Compositor::default(), witness, setup, held: Vec::new(), is_over: false }
    }

    /// Receives what was told, and builds a frame of what is visible.
    pub fn build(&mut self, is_visible: impl Fn(ContextId) -> bool) {
        let Self { compositor, witness, .. } = self;
        witness.tell(|oracle| {
            compositor.receive(oracle, usize::MAX);
            compositor.build(oracle, is_visible);
        });
    }

    /// Renders what was built, and holds the locks or not.
    pub fn render(&mut self, holds: bool) {
        for upload in self.compositor.render() {
            if let Some(held) = self.lock(&upload).filter(|_| !holds) {
                self.unlock(held, false);
            }
        }
    }

    /// Locks an image and reads it. Returns the place of the lock, unless there is no context.
    pub fn lock(&mut self, upload: &Upload) -> Option<usize> {
        let offer = upload.offer;
        let begin = |oracle: &mut Oracle| {
            oracle.locks(&offer);
            oracle.named(offer.context)
        };
        let life = self.witness.tell(begin);
        let Self { images, compositor, witness, setup, .. } = self;
        let ExternalImageSource::RawData(bytes) = images.lock(offer.context.into(), Some(offer.generation))
        else {
            witness.tell(|oracle| compositor.saw_nothing(oracle, upload));
            return None;
        };
        let seen = see(bytes, &offer.descriptor, setup);
        let (place, bytes) = (bytes.as_ptr() as usize, &bytes[..bytes.len().min(COMPARED)]);
        // A generation that was locked before may have a newer frame, if another one was locked in between.
        if let Some(held) = holds(&self.held, offer.context, Some(offer.generation), place) {
            let seen = seen.ok().flatten();
            compositor.saw_again(upload, seen);
            self.held[held].lock_again(witness, bytes, seen);
            return Some(held);
        }
        witness.tell(|oracle| match &seen {
            Ok(seen) => compositor.saw(oracle, upload, *seen),
            Err(fault) => oracle.rule(false, || format!("{fault}: {offer:?}")),
        });
        self.held.push(Held {
            context: offer.context,
            life,
            generation: Some(offer.generation),
            descriptor: Some(offer.descriptor),
            place,
            count: 1,
            bytes: bytes.to_vec(),
            seen: seen.ok().flatten(),
        });
        Some(self.held.len() - 1)
    }

    /// Locks whatever was told last of a context, or a generation that was never told.
    pub fn lock_blindly(&mut self, context: ContextId, generation: Option<u8>) -> Option<usize> {
        let begin = |oracle: &mut Oracle| (oracle.locks_last(context), oracle.named(context));
        let (last, life) = self.witness.tell(begin);
        let Self { images, compositor, witness, setup, .. } = self;
        compositor.locked_another(context);
        let ExternalImageSource::RawData(bytes) = images.lock(context.into(), generation) else {
            let is_missing = life.is_none() || !setup.is_exact;
            witness.tell(|oracle| oracle.rule(is_missing, || format!("{context:?} cannot be locked")));
            return None;
        };
        let len = bytes.len();
        let (place, bytes) = (bytes.as_ptr() as usize, &bytes[..len.min(COMPARED)]);
        if let Some(held) = holds(&self.held, context, generation, place) {
            self.held[held].lock_again(witness, bytes, None);
            return Some(held);
        }
        witness.tell(|oracle| {
            if generation.is_none() {
                oracle.saw_last(context, last, len);
            }
        });
        let (descriptor, bytes) = (None, bytes.to_vec());
        self.held.push(Held { context, life, generation, descriptor, place, count: 1, bytes, seen: None });
        Some(self.held.len() - 1)
    }

    /// Takes back a lock, if there is one, and looks whether it still reads what it did.
    pub fn unlock(&mut self, nth: usize, looks: bool) {
        let Some(held) = self.held.get(nth) else {
            return self.images.unlock(ExternalImageId(u64::MAX), None);
        };
        let Held { context, life, generation, descriptor, place, .. } = *held;
        if let Some(generation) = generation
            && looks
            && self.witness.tell(|oracle| oracle.named(context)) == life
        {
            let Self { images, compositor, witness, setup, held, .. } = self;
            // An older generation may be locked so, out of its turn.
            compositor.locked_another(context);
            if let ExternalImageSource::RawData(bytes) = images.lock(context.into(), Some(generation)) {
                if bytes.as_ptr() as usize == place {
                    let seen =
                        descriptor.and_then(|descriptor| see(bytes, &descriptor, setup).ok().flatten());
                    held[nth].lock_again(witness, &bytes[..bytes.len().min(COMPARED)], seen);
                    self.unlocked(context, Some(generation));
                }
                self.images.unlock(context.into(), Some(generation));
            }
        }
        self.images.unlock(context.into(), generation);
        self.unlocked(context, generation);
    }

    /// A lock was taken back: of those with this generation the one that was locked last.
    fn unlocked(&mut self, context: ContextId, generation: Option<u8>) {
        let is_it = |held: &Held| held.context == context && held.generation == generation;
        let Some(last) = self.held.iter().rposition(is_it) else { return };
        self.held[last].count -= 1;
        if self.held[last].count == 0 {
            self.held.remove(last);
        }
    }

    pub fn let_all_go(&mut self) {
        while !self.held.is_empty() {
            self.unlock(0, true);
        }
    }

    /// Draws what was told since the last time, in one way or another. Whether there was anything.
    pub fn draw(&mut self, below: Below) -> bool {
        if self.is_over {
            return false;
        }
        let (each, hidden) = (below(2) == 1, ContextId(below(12).into()));
        let Self { compositor, witness, .. } = self;
        let count = witness.tell(|oracle| {
            let mut count = 0;
            loop {
                let received = compositor.receive(oracle, if each { 1 } else { usize::MAX });
                compositor.build(oracle, |context| context != hidden);
                count += received;
                if received == 0 || !each {
                    break count;
                }
            }
        });
        for upload in self.compositor.render() {
            self.draw_one(&upload, below);
        }
        if below(16) == 15 {
            let before = below(MOST_PAST) as usize;
            if let Some(offer) = self.witness.tell(|oracle| oracle.past(before)) {
                self.draw_one(&Upload::again(offer), below);
            }
        }
        while self.held.len() > MOST_HELD || (!self.held.is_empty() && below(3) == 2) {
            self.unlock(0, true);
        }
        count > 0
    }

    fn draw_one(&mut self, upload: &Upload, below: Below) {
        let mut lock = self.lock(upload);
        if let Some(held) = lock
            && below(8) == 7
        {
            // Another tile of the same frame, whatever was presented meanwhile.
            self.unlock(held, false);
            std::thread::sleep(Duration::from_micros(below(500).into()));
            lock = self.lock(upload);
        }
        if let Some(held) = lock
            && below(6) != 5
        {
            self.unlock(held, false);
        }
        // An engine that drops the generation.
        if below(16) == 15
            && let Some(held) = self.lock_blindly(upload.offer.context, None)
        {
            self.unlock(held, false);
        }
    }

    /// Draws until each image shows what its canvas does.
    pub fn catch_up(&mut self) {
        self.let_all_go();
        let deadline = Instant::now() + self.witness.patience;
        loop {
            self.build(|_| true);
            self.render(false);
            let Self { compositor, witness, .. } = self;
            let is_over = |oracle: &mut Oracle| {
                let is_late = Instant::now() > deadline;
                if is_late {
                    compositor.judge(oracle);
                }
                is_late || compositor.outdated(oracle).is_none()
            };
            if witness.tell(is_over) {
                break;
            }
            // What was held back is offered by another thread.
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Receives what was told, to build a frame of it later.
    pub fn receive(&mut self, oracle: &Oracle) {
        self.compositor.receive(oracle, usize::MAX);
    }

    /// The oracle forgot what was told. All of it was received.
    pub fn forget(&mut self, oracle: &Oracle) {
        self.compositor.forget(oracle);
    }
}

/// The lock that another one of these bytes joins.
fn holds(held: &[Held], context: ContextId, generation: Option<u8>, place: usize) -> Option<usize> {
    held.iter()
        .rposition(|held| held.context == context && held.generation == generation && held.place == place)
}

impl Held {
    /// Another lock of the same, unless the id names another context by now.
    fn lock_again(&mut self, witness: &Witness, bytes: &[u8], seen: Option<Picture>) {
        self.count += 1;
        let is_same = self.bytes == bytes && (self.seen == seen || seen.is_none());
        witness.tell(|oracle| {
            let is_named = oracle.named(self.context) == self.life;
            oracle.rule(is_same || !is_named, || {
                format!("{:?} was locked, and became {seen:?}: {:?}", self.seen, self.context)
            });
        });
    }
}

/// What a renderer shows that takes these bytes for an image so described. `None` if it is not to be looked at.
fn see(bytes: &[u8], descriptor: &ImageDescriptor, setup: &Setup) -> Result<Option<Picture>, String> {
    let (stride, height) = (descriptor.compute_stride() as usize, descriptor.size.height as usize);
    if bytes.len() < byte_len(descriptor) {
        return Err(format!("{} bytes are too few", bytes.len()));
    }
    if setup.is_blind {
        return Ok(None);
    }
    let width = 4 * descriptor.size.width as usize;
    let size = descriptor.size.to_u32().cast_unit();
    let is_opaque = descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
    let is_bgra = descriptor.format == ImageFormat::BGRA8;
    let rows = || bytes.chunks(stride).take(height).map(|row| &row[..width]);
    let seen = Picture::of(rows, size, is_opaque, is_bgra, setup.pattern);
    seen.map(Some).ok_or_else(|| format!("a torn frame that begins with {:?}", &bytes[..width.min(32)]))
}
