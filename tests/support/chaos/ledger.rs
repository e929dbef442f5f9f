//! Everything that was asked and told, and the rules for it.
//!
//! Rules of the sink's calls are checked as they come, in [`Ledger`]'s `ImageSink`; those of presents in [`Ledger::judge`], when
//! nothing is in flight. What was judged is forgotten, so that a long run needs no more memory than a short one.

mod rules;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use euclid::default::Size2D;
use parking_lot::Mutex;
use webgpu_presentation::{
    AlphaMode, CanvasEpoch, ContextId, FrameMemoryKind, ImageSink, PresentEnd, PresentError, PresentOutcome,
    ReturnedId,
};
use webrender_api::{
    ExternalImageData, ExternalImageId, ExternalImageType, IdNamespace, ImageDescriptor, ImageKey,
};
use wgpu_core::id::DeviceId;

pub use self::rules::shows;
use super::picture::{Life, Picture};
use super::script::Trouble;

/// The compositor of all image keys.
pub const NAMESPACE: IdNamespace = IdNamespace(1);

/// What a canvas shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Cleared { size: Size2D<u32>, alpha_mode: AlphaMode },
    Picture(Arc<Picture>),
}

impl Shown {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Picture(picture) => Some(picture.number),
            Self::Cleared { .. } => None,
        }
    }
}

/// A call of the sink that offers something to renderers.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    pub key: ImageKey,
    pub context: ContextId,
    pub life: Life,
    pub descriptor: ImageDescriptor,
    pub generation: u8,
    epoch: Option<u64>,
}

/// A present, as it was asked for.
#[derive(Clone, Debug)]
pub struct Present {
    pub context: ContextId,
    pub life: Life,
    pub sequence: u64,
    pub epoch: u64,
    /// If all goes well.
    pub shows: Shown,
    pub trouble: Trouble,
    /// The device was destroyed already.
    pub lost: bool,
    pub device: Option<DeviceId>,
    /// It had an image key, so that its epoch must be acknowledged.
    pub displayed: bool,
    /// Sink calls made before it.
    pub calls: usize,
}

pub struct Ledger {
    /// The backend copies nothing: pictures are not looked at.
    pub blind: bool,
    memory: FrameMemoryKind,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    faults: Vec<String>,
    lives: HashMap<Life, Canvas>,
    keys: HashMap<ImageKey, Key>,
    pictures: HashMap<u32, Arc<Picture>>,
    /// Pictures, lives and keys made.
    made: (u32, u64, u32),
    offers: Vec<Offer>,
    presents: Vec<Present>,
    outcomes: Vec<PresentOutcome>,
    /// Devices that were destroyed or dropped.
    lost: HashSet<DeviceId>,
    /// Ids that were handed in.
    lent: HashSet<ReturnedId>,
    /// Ids that may be used again.
    returned: Vec<ReturnedId>,
    tally: Tally,
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

struct Canvas {
    context: ContextId,
    /// It is being destroyed, or was.
    gone: bool,
    /// The newest good present that was judged, and what it shows.
    newest: (u64, Shown),
}

struct Key {
    life: Life,
    state: KeyState,
    epoch: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyState {
    Unknown,
    Added,
    Deleted,
}

impl Ledger {
    pub fn new(memory: FrameMemoryKind, blind: bool) -> Self {
        Self { blind, memory, state: Mutex::default() }
    }

    pub fn fault(&self, what: impl Into<String>) {
        self.state.lock().fault(what.into());
    }

    pub fn faults(&self) -> Vec<String> {
        self.state.lock().faults.clone()
    }

    pub fn tally(&self) -> Tally {
        self.state.lock().tally
    }

    pub fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.state.lock().tally);
    }

    pub fn begin_life(&self, context: ContextId, size: Size2D<u32>) -> Life {
        let mut state = self.state.lock();
        state.made.1 += 1;
        let life = Life(state.made.1);
        let shown = Shown::Cleared { size, alpha_mode: AlphaMode::Premultiplied };
        state.lives.insert(life, Canvas { context, gone: false, newest: (0, shown) });
        life
    }

    /// Before the context is destroyed.
    pub fn end_life(&self, life: Life) {
        if let Some(canvas) = self.state.lock().lives.get_mut(&life) {
            canvas.gone = true;
        }
    }

    pub fn is_gone(&self, life: Life) -> bool {
        self.state.lock().lives.get(&life).is_none_or(|canvas| canvas.gone)
    }

    pub fn new_key(&self, life: Life) -> ImageKey {
        let mut state = self.state.lock();
        state.made.2 += 1;
        let key = ImageKey::new(NAMESPACE, state.made.2);
        state.keys.insert(key, Key { life, state: KeyState::Unknown, epoch: None });
        key
    }

    /// Numbers a picture.
    pub fn new_picture(&self, make: impl FnOnce(u32) -> Picture) -> Arc<Picture> {
        let mut state = self.state.lock();
        state.made.0 = (state.made.0 + 1) & 0xff_ffff;
        state.made.0 = state.made.0.max(1);
        let picture = Arc::new(make(state.made.0));
        state.pictures.insert(picture.number, picture.clone());
        picture
    }

    pub fn picture(&self, number: u32) -> Option<Arc<Picture>> {
        self.state.lock().pictures.get(&number).cloned()
    }

    /// Before a present is made. What `present` holds of calls is set here.
    pub fn begin(&self, present: Present) {
        let mut state = self.state.lock();
        let calls = state.offers.len();
        state.presents.push(Present { calls, ..present });
    }

    pub fn outcome(&self, outcome: PresentOutcome) {
        self.state.lock().outcomes.push(outcome);
    }

    /// A device is about to be destroyed or dropped.
    pub fn lose(&self, device: DeviceId) {
        self.state.lock().lost.insert(device);
    }

    /// Whether a copy that was in flight may have failed with its device: owned memory does not need it any more.
    pub fn may_lose(&self, device: DeviceId) -> bool {
        self.memory == FrameMemoryKind::Portable && self.state.lock().lost.contains(&device)
    }

    /// How many presents have not ended.
    pub fn open(&self) -> usize {
        let state = self.state.lock();
        state.presents.len().saturating_sub(state.outcomes.len())
    }

    pub fn lend(&self, id: ReturnedId) {
        let mut state = self.state.lock();
        if !state.lent.insert(id) {
            state.fault(format!("the test lends {id:?} twice"));
        }
    }

    /// An id comes back.
    pub fn take_back(&self, id: ReturnedId) {
        let mut state = self.state.lock();
        if state.lent.remove(&id) {
            state.returned.push(id);
        } else {
            state.fault(format!("{id:?} came back though it was not lent"));
        }
    }

    pub fn lent(&self) -> Vec<ReturnedId> {
        self.state.lock().lent.iter().copied().collect()
    }

    /// An id that came back.
    pub fn reuse(&self, fits: impl Fn(&ReturnedId) -> bool) -> Option<ReturnedId> {
        let mut state = self.state.lock();
        let index = state.returned.iter().position(fits)?;
        Some(state.returned.swap_remove(index))
    }

    /// What was offered since, and from where to ask next.
    pub fn offers_from(&self, from: usize) -> Vec<Offer> {
        let state = self.state.lock();
        state.offers.get(from..).unwrap_or_default().to_vec()
    }

    /// What the newest good present of a life shows, with its sequence number. As of the last judgement.
    pub fn newest(&self, life: Life) -> Option<(u64, Shown)> {
        self.state.lock().lives.get(&life).map(|canvas| canvas.newest.clone())
    }

    /// Nothing is in flight, everything was told: holds it against the rules.
    ///
    /// Returns how each present ended, by life and sequence number.
    pub fn judge(&self) -> HashMap<(Life, u64), (Present, PresentEnd)> {
        let mut state = self.state.lock();
        let ended = state.match_outcomes();
        state.judge_ends(&ended, self.memory);
        state.judge_epochs(&ended);
        state.judge_keys();
        ended
    }

    /// Forgets what was judged. The renderers have caught up, so that they see the newest pictures only.
    pub fn forget(&self) {
        let mut state = self.state.lock();
        let State { lives, keys, pictures, offers, presents, outcomes, lost, .. } = &mut *state;
        lost.clear();
        // With their memory: a soak measures what is left.
        (*offers, *presents, *outcomes) = Default::default();
        lives.retain(|_, canvas| !canvas.gone);
        keys.retain(|_, key| key.state != KeyState::Deleted);
        let newest: HashSet<_> = lives.values().filter_map(|canvas| canvas.newest.1.number()).collect();
        pictures.retain(|number, _| newest.contains(number));
        pictures.shrink_to_fit();
        lives.shrink_to_fit();
        keys.shrink_to_fit();
    }
}

impl State {
    fn fault(&mut self, what: String) {
        // The first ones tell; a flood of them tells no more.
        if self.faults.len() < 20 {
            self.faults.push(what);
        }
    }

    fn offer(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<u64>,
    ) {
        let Some(life) = self.keys.get(&key).map(|key| key.life) else { return };
        let Some(context) = self.lives.get(&life).map(|canvas| canvas.context) else {
            return self.fault(format!("{key:?} of a canvas that is long gone"));
        };
        if data.id != ExternalImageId::from(context)
            || data.image_type != ExternalImageType::Buffer
            || descriptor.size.is_empty()
            || descriptor.compute_stride() % 4 != 0
        {
            self.fault(format!("WebRender cannot use {descriptor:?} {data:?}"));
        }
        self.offers.push(Offer { key, context, life, descriptor, generation: data.channel_index, epoch });
    }

    /// Moves a key on, if it is in one of these states.
    fn change_key(&mut self, key: ImageKey, from: KeyState, to: KeyState) {
        match self.keys.get_mut(&key) {
            Some(known) if known.state == from => known.state = to,
            known => {
                let found = known.map(|known| known.state);
                self.fault(format!("{key:?} was {found:?}, not {from:?}, when it became {to:?}"));
            }
        }
    }
}

impl ImageSink for Ledger {
    fn add_image(&self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        let mut state = self.state.lock();
        state.change_key(key, KeyState::Unknown, KeyState::Added);
        state.offer(key, descriptor, data, None);
    }

    fn update_image(
        &self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        let mut state = self.state.lock();
        state.change_key(key, KeyState::Added, KeyState::Added);
        if let (Some(CanvasEpoch(epoch)), Some(known)) = (epoch, state.keys.get_mut(&key)) {
            let before = known.epoch.replace(epoch);
            if before > Some(epoch) {
                state.fault(format!("{key:?}: epoch {epoch} after {before:?}"));
            }
        }
        state.offer(key, descriptor, data, epoch.map(|epoch| epoch.0));
    }

    fn delete_image(&self, key: ImageKey) {
        self.state.lock().change_key(key, KeyState::Added, KeyState::Deleted);
    }
}
