//! The WebGPU thread of a random engine: does what its pages say, as an engine does it.

mod drawing;
mod ending;
mod ids;
mod owners;
mod presenting;
mod reading;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use parking_lot::Mutex;
use webgpu_presentation::*;
use webrender_api::ImageKey;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, TextureId};
use wgpu_core::resource::TextureDescriptor;
use wgpu_types as wgt;
use wgpu_types::{TextureFormat, TextureUsages};

use self::drawing::{Texture, fill};
use self::ids::Ids;
use self::owners::{Lingering, owner_of};
use self::reading::{Read, Seen};
use super::ledger::{Ledger, NAMESPACE, Present, Shown, shows};
use super::picture::{Life, Picture};
use super::renderer::{Renderer, Sight, see_rows};
use super::script::{Image, Message, OWNERS, SLOTS, Trouble};
use crate::support::gpu::{Device, Gpu, extent};

/// Devices at once, at most.
const MOST_DEVICES: usize = 3;
/// Textures that script keeps, and snapshots.
const MOST_KEPT: usize = 4;
/// Nothing takes that long, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// No context has this slot.
const NOBODY: u32 = u32::MAX;

pub struct Engine {
    pub ledger: Arc<Ledger>,
    pub map: ContextMap,
    /// How many there were so far.
    pub devices_made: usize,
    // Before what it presents with.
    presenter: Presenter,
    slots: [Option<Slot>; SLOTS as usize],
    lingering: Vec<Lingering>,
    transactions: u64,
    /// Asked for, and answered.
    waits: usize,
    awaited: Arc<AtomicUsize>,
    devices: Vec<Held>,
    kept: Vec<Texture>,
    snapshots: Vec<(Snapshot, Sight)>,
    reads: HashMap<u64, Read>,
    asked: u64,
    answer: Sender<(u64, Answer)>,
    answers: Receiver<(u64, Answer)>,
    /// Read and to be judged.
    answered: Vec<(Read, Seen)>,
    wake: Arc<AtomicBool>,
    closures: [Arc<AtomicUsize>; 2],
    ids: Ids,
    gpu: Gpu,
}

type Answer = Result<Snapshot, GetImageError>;

struct Slot {
    life: Life,
    key: Option<ImageKey>,
    sequence: u64,
}

struct Held {
    device: Device,
    destroyed: bool,
}

impl Engine {
    /// On an adapter. The engine brings its own ids or not; pictures are looked at unless it is blind.
    pub fn new(gpu: Gpu, own_ids: bool, memory: FrameMemoryKind, blind: bool) -> Self {
        let map = ContextMap::default();
        let ledger = Arc::new(Ledger::new(memory, blind));
        let wake = Arc::new(AtomicBool::new(false));
        let (outcomes, ids, wakes) = (ledger.clone(), ledger.clone(), wake.clone());
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| outcomes.outcome(outcome)),
            on_id: Arc::new(move |id| ids.take_back(id)),
            wake: Arc::new(move || wakes.store(true, Ordering::Release)),
            frame_memory: memory,
            // One of the two kinds of engines, so that both ways to wait are tried.
            spin: Duration::from_micros(if own_ids { 200 } else { 0 }),
        };
        let presenter = Presenter::new(gpu.global.clone(), &map, ledger.clone(), options);
        let (answer, answers) = channel();
        Self {
            ledger,
            map,
            devices_made: 0,
            presenter,
            slots: Default::default(),
            lingering: Vec::new(),
            transactions: 0,
            waits: 0,
            awaited: Arc::default(),
            devices: Vec::new(),
            kept: Vec::new(),
            snapshots: Vec::new(),
            reads: HashMap::new(),
            asked: 0,
            answer,
            answers,
            answered: Vec::new(),
            wake,
            closures: Default::default(),
            ids: Ids { own: own_ids, made: 0 },
            gpu,
        }
    }

    /// Does what came in: presents that follow each other go together.
    pub fn perform(&mut self, messages: Vec<Message>) {
        let mut messages = messages.into_iter().peekable();
        while let Some(message) = messages.next() {
            if message.is_batched() {
                let mut batch = vec![message];
                while let Some(message) = messages.next_if(Message::is_batched) {
                    batch.push(message);
                }
                self.present(batch);
            } else {
                self.obey(message);
            }
        }
        self.collect(Duration::ZERO);
        if self.wake.swap(false, Ordering::AcqRel) {
            self.presenter.maintain();
        }
    }

    fn obey(&mut self, message: Message) {
        match message {
            Message::Create { slot, size, buffers, displayed } => {
                self.create(slot, size.into(), buffers);
                if displayed {
                    self.set_key(slot, true);
                }
            }
            Message::SetKey { slot, fresh } => self.set_key(slot, fresh),
            Message::PresentAgain { slot, kept, epoch } => self.present_again(slot, kept as usize, epoch),
            Message::Burst { slot, image, count, reads } => self.burst(slot, &image, count, reads),
            Message::Read { slot } => {
                self.ask(slot, None);
            }
            Message::Capture { slot, image } => {
                let texture = self.draw(slot, &image, None);
                self.ask(slot, Some(&texture));
                self.discard(texture);
            }
            Message::Destroy { slot } => self.destroy(slot),
            Message::DestroyOwner { owner, elsewhere } => self.destroy_owner(owner_of(owner), elsewhere),
            Message::Linger { slot } => self.linger(slot),
            Message::DoTransactions { count } => self.do_transactions(count as usize),
            Message::Wait { slot, epoch, milliseconds } => self.wait(slot, epoch, milliseconds),
            Message::Trim { owner } => {
                self.presenter.trim(owner_of(owner));
                let _ = self.presenter.memory_report();
            }
            Message::CreateDevice => self.create_device(),
            Message::DestroyDevice { device, directly } => self.destroy_device(device, directly),
            Message::DropDevice { device } => self.drop_device(device),
            Message::Closure { device } => self.run_closure(device),
            Message::Maintain => self.presenter.maintain(),
            Message::Rest { milliseconds } => {
                self.collect(Duration::from_millis(milliseconds.into()));
            }
            Message::Present { .. } | Message::Clear { .. } => {}
        }
    }

    fn create(&mut self, slot: u32, size: Size2D<u32>, buffers: u32) {
        let context = ContextId(slot.into());
        let lingers = self.lingering.iter().any(|lingering| lingering.slot == slot);
        let taken = lingers || self.slots[slot as usize].is_some();
        let buffer_ids = if self.ids.own {
            BufferIds::Provided((0..buffers).map(|_| self.ids.buffer(&self.ledger)).collect())
        } else {
            BufferIds::Allocated
        };
        let provided = match &buffer_ids {
            BufferIds::Provided(ids) => ids.clone(),
            BufferIds::Allocated => vec![],
        };
        let result = self
            .presenter
            .create_context(context, ContextDescriptor { owner: owner_of(slot), size, buffer_ids });
        let expected = match result {
            Ok(()) => !taken,
            Err(CreateContextError::NoBufferIds) => self.ids.own && buffers == 0,
            Err(CreateContextError::Duplicate(id)) => taken && id == context,
            Err(_) => false,
        };
        if !expected {
            self.ledger.fault(format!("creating {context:?} (taken: {taken}) came to {result:?}"));
        }
        if result.is_ok() {
            let life = self.ledger.begin_life(context, size);
            self.slots[slot as usize] = Some(Slot { life, key: None, sequence: 0 });
        } else {
            // They are still the engine's.
            provided.into_iter().for_each(|id| self.ledger.take_back(ReturnedId::Buffer(id)));
        }
    }

    fn set_key(&mut self, slot: u32, fresh: bool) {
        let context = ContextId(slot.into());
        let result = match &mut self.slots[slot as usize] {
            None => self.presenter.set_image_key(context, ImageKey::DUMMY).is_err(),
            Some(slot) => {
                let key = slot.key.filter(|_| !fresh).unwrap_or_else(|| self.ledger.new_key(slot.life));
                slot.key = Some(key);
                self.presenter.set_image_key(context, key).is_ok()
            }
        };
        if !result {
            self.ledger.fault(format!("setting a key of {context:?} came to something else"));
        }
    }

    fn destroy(&mut self, slot: u32) {
        let life = self.slots[slot as usize].take().map(|slot| slot.life);
        if let Some(life) = life {
            self.ledger.end_life(life);
        }
        let result = self.presenter.destroy_context(ContextId(slot.into()));
        if result.is_ok() != life.is_some() {
            self.ledger.fault(format!("destroying {slot} ({life:?}) came to {result:?}"));
        }
    }

    fn create_device(&mut self) {
        if self.devices.len() < MOST_DEVICES {
            self.devices_made += 1;
            self.devices.push(Held { device: self.gpu.device(), destroyed: false });
        }
    }

    fn destroy_device(&mut self, device: u32, directly: bool) {
        if self.devices.is_empty() {
            return;
        }
        let index = device as usize % self.devices.len();
        let held = &mut self.devices[index];
        held.destroyed = true;
        let id = held.device.id;
        self.ledger.lose(id);
        if directly {
            // wgpu-core destroys in the next poll, and can deadlock if this thread writes meanwhile.
            self.gpu.global.device_destroy(id);
            let deadline = Instant::now() + PATIENCE;
            while !self
                .gpu
                .global
                .device_poll(id, wgt::PollType::Poll)
                .is_ok_and(|status| status.is_queue_empty())
            {
                assert!(Instant::now() < deadline, "a destroyed device is never done");
                std::thread::yield_now();
            }
        } else {
            self.presenter.destroy_device(id);
        }
        for texture in self.kept.iter_mut().filter(|kept| kept.pending.configuration.device_id == id) {
            texture.lost = true;
        }
    }

    fn drop_device(&mut self, device: u32) {
        if self.devices.is_empty() {
            return;
        }
        // One that is of no use any more, if there is one.
        let destroyed = self.devices.iter().position(|held| held.destroyed);
        let index = destroyed.unwrap_or(device as usize % self.devices.len());
        let Held { device, .. } = self.devices.remove(index);
        self.ledger.lose(device.id);
        let (gone, kept): (Vec<_>, _) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| kept.pending.configuration.device_id == device.id);
        self.kept = kept;
        gone.into_iter().for_each(|texture| self.gpu.drop_texture(texture.pending.texture_id));
        self.presenter.drop_device(device.id);
        self.gpu.global.queue_drop(device.queue);
    }

    /// A closure of the engine's: it runs once, if its device lives.
    fn run_closure(&mut self, device: u32) {
        if self.devices.is_empty() {
            return;
        }
        let Held { device, .. } = self.devices[device as usize % self.devices.len()];
        let [asked, ran] = &self.closures;
        asked.fetch_add(1, Ordering::SeqCst);
        let ran = ran.clone();
        let closure = Box::new(move || {
            ran.fetch_add(1, Ordering::SeqCst);
        });
        let index = self.gpu.global.queue_on_submitted_work_done(device.queue, closure);
        self.presenter.poller().wait_for(device.id, index);
    }
}
