//! Does what a script says, and keeps the model.

use std::time::Duration;

use webrender_api::{IdNamespace, ImageKey};
use wgpu_core::id::TextureId;
use wgpu_types::TextureFormat;

use super::super::world::*;
use super::engine::{Answers, Engine};
use super::model::{Compositors, Life, Picture, Present, Read, State, Wait};
use super::renderer::Renderer;
use super::step::{Step, Texture, Trouble};
use crate::gpu::Gpu;
use crate::gpu::{fake, fake::Fault};
use crate::{
    AlphaMode, Awaited, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId,
    ContextMap, CreateContextError, EncoderIds, GetImageError, OwnerId, PendingTexture, PixelFormat,
    PresentEnd, PresentError, ReturnedId, Snapshot, TransactionId, UnknownContext,
};

/// No device has this number.
const FOREIGN: u32 = 1000;

pub(super) struct History {
    memory: FrameMemoryKind,
    pub(super) map: ContextMap,
    /// Those that are gone too.
    pub(super) engines: Vec<Engine>,
    /// Those that are there.
    pub(super) at: [usize; 2],
    pub(super) renderers: [Renderer; 3],
    pub(super) lives: Vec<Life>,
    pub(super) reads: Vec<Read>,
    pub(super) images: Answers<Result<Image, GetImageError>>,
    pub(super) waits: Vec<Wait>,
    pub(super) awaited: Answers<Awaited>,
    pub(super) compositors: Compositors,
    /// Textures so far: their colours.
    textures: u32,
}

/// What script got, and perhaps holds.
pub(super) enum Image {
    Held(Snapshot),
    Seen(Picture),
}

impl Image {
    pub(super) fn picture(&self) -> Picture {
        match self {
            Self::Held(snapshot) if snapshot.size().is_empty() => {
                Picture::cleared(snapshot.size(), snapshot.alpha_mode() == AlphaMode::Opaque)
            }
            Self::Held(snapshot) => {
                let mut pixel = first_pixel(snapshot);
                if snapshot.format() == PixelFormat::Bgra8 {
                    pixel.swap(0, 2);
                }
                Picture { pixel, size: snapshot.size() }
            }
            Self::Seen(picture) => *picture,
        }
    }
}

impl History {
    pub(super) fn new(memory: FrameMemoryKind) -> Self {
        let map = ContextMap::default();
        Self {
            engines: vec![Engine::new(memory, &map), Engine::new(memory, &map)],
            memory,
            at: [0, 1],
            renderers: std::array::from_fn(|_| Renderer::new(&map)),
            map,
            lives: Vec::new(),
            reads: Vec::new(),
            images: Answers::default(),
            waits: Vec::new(),
            awaited: Answers::default(),
            compositors: Compositors::default(),
            textures: 0,
        }
    }

    pub(super) fn go(&mut self, step: Step) {
        match step {
            Step::Create { at, context, owner, ids } => self.create(self.at[at], context, owner, ids),
            Step::SetKey { at, context, compositor } => self.set_key(self.at[at], context, compositor),
            Step::Present { at, context, epoch, texture, batched } => {
                self.present(self.at[at], context, epoch, texture, batched);
            }
            Step::Clear { at, context, epoch, size: (width, height), opaque, times } => {
                (0..times).for_each(|_| self.clear(self.at[at], context, epoch, size(width, height), opaque));
            }
            Step::Submit { at } => self.engine(at).presenter().batch().submit(),
            Step::Read { at, context } => self.read(self.at[at], context),
            Step::Capture { at, context, texture } => self.capture(self.at[at], context, texture),
            Step::DropSnapshots => self.drop_snapshots(),
            Step::Wait { context, epoch, patient } => self.wait(context, epoch, patient),
            Step::Destroy { at, context } => self.destroy(self.at[at], context, None),
            Step::DestroyAfter { at, context, transaction } => {
                self.destroy(self.at[at], context, Some(transaction));
            }
            Step::TransactionDone { compositor, transaction } => {
                self.map.transaction_done(IdNamespace(compositor), TransactionId(transaction));
                self.compositors.done(compositor, transaction, &mut self.lives);
            }
            Step::CompositorGone { compositor } => {
                self.map.compositor_gone(IdNamespace(compositor));
                self.compositors.done(compositor, u64::MAX, &mut self.lives);
            }
            Step::DestroyOwner { at, owner } => self.destroy_owner(at, owner),
            Step::Trim { at, owner } => self.engine(at).presenter().trim(OwnerId(owner)),
            Step::Maintain { at } => self.engine(at).presenter().maintain(),
            Step::Ask { at, device } => {
                let engine = self.engine(at);
                let device = fake::device(engine.devices[device]);
                engine.presenter().poller().wake(device);
                engine.presenter().memory_report();
            }
            Step::Finish { at, device, racing } => {
                self.engine(at).presenter().batch().submit();
                let engine = self.engine(at);
                engine.gpu.finish(fake::device(engine.devices[device]));
                if !racing {
                    self.settle(at, device);
                }
            }
            Step::Lose { at, device, racing } => {
                self.engine(at).presenter().batch().submit();
                let engine = self.engine(at);
                engine.gpu.lose(fake::device(engine.devices[device]));
                if !racing {
                    self.settle(at, device);
                }
            }
            Step::DestroyDevice { at, device } => {
                let engine = self.engine(at);
                let number = engine.devices[device];
                engine.ended.insert(number);
                engine.presenter().destroy_device(fake::device(number));
            }
            Step::DropDevice { at, device } => {
                let engine = self.engine(at);
                let number = engine.devices[device];
                engine.ended.insert(number);
                engine.devices[device] = engine.devices[0].max(engine.devices[1]) + 1;
                engine.presenter().drop_device(fake::device(number));
            }
            Step::FailCreations { at, count } => {
                let engine = self.engine(at);
                engine.gpu.fail_next_creations(count);
                engine.may_lack_memory += count;
            }
            Step::FailSubmit { at, may_be_in_flight } => {
                let engine = self.engine(at);
                engine.gpu.fail_next_submit(PresentError::OutOfMemory, may_be_in_flight);
                // All of a batch, and what they were to supersede.
                engine.may_lack_memory += if may_be_in_flight { 8 } else { 1 };
            }
            Step::FailMappings { at, count } => {
                let engine = self.engine(at);
                engine.gpu.fail_next_mappings(count);
                engine.may_lack_mappings += count;
            }
            Step::Lock { renderer, context, before, generation } => {
                self.lock(renderer, context, before, generation);
            }
            Step::Unlock { renderer, nth } => self.renderers[renderer].unlock(nth),
            Step::DropRenderer { renderer } => self.renderers[renderer] = Renderer::new(&self.map),
            Step::DropPresenter { at } => {
                self.drop_presenter(self.at[at]);
                self.at[at] = self.engines.len();
                self.engines.push(Engine::new(self.memory, &self.map));
            }
        }
        self.look();
    }

    fn engine(&mut self, at: usize) -> &mut Engine {
        &mut self.engines[self.at[at]]
    }

    /// The life of a context at a presenter, as the engine sees it.
    fn alive(&self, at: usize, context: u64) -> Option<usize> {
        self.lives.iter().rposition(|life| life.is_alive() && life.id == context && life.at == at)
    }

    /// Whatever a context id names.
    pub(super) fn named(&self, context: u64) -> Option<usize> {
        self.lives.iter().rposition(|life| life.state != State::Gone && life.id == context)
    }

    fn create(&mut self, at: usize, context: u64, owner: u64, ids: usize) {
        let taken = self.named(context).is_some();
        let engine = &mut self.engines[at];
        let ids = engine.free_ids(ids);
        let buffer_ids = if ids.is_empty() { BufferIds::Allocated } else { BufferIds::Provided(ids.clone()) };
        let size = size(6, 3);
        let created = engine.presenter().create_context(
            ContextId(context),
            ContextDescriptor { owner: OwnerId(owner), size, buffer_ids },
        );
        if taken {
            assert_eq!(created, Err(CreateContextError::Duplicate(ContextId(context))));
            return;
        }
        created.expect("the id is free");
        ids.iter().for_each(|id| engine.hand_in(ReturnedId::Buffer(*id)));
        self.lives.push(Life {
            id: context,
            at,
            owner,
            size,
            state: State::Alive,
            provided: ids.len(),
            presents: Vec::new(),
            images: Vec::new(),
            reads: 0,
            locked: 0,
        });
    }

    fn set_key(&mut self, at: usize, context: u64, compositor: u32) {
        let key = ImageKey::new(IdNamespace(compositor), context as u32);
        let alive = self.alive(at, context);
        let engine = &mut self.engines[at];
        if let Some(life) = alive.map(|life| &mut self.lives[life])
            && life.images.last().is_none_or(|old| engine.images[*old] != key)
        {
            // What is in flight is acknowledged under either, and what was superseded by that.
            life.owe_what(|context, sequence, present| {
                let end = engine.end(context, sequence, present.nth);
                !matches!(end, None | Some(PresentEnd::Superseded))
            });
            life.images.push(engine.images.len());
            engine.images.push(key);
        }
        let set = engine.presenter().set_image_key(ContextId(context), key);
        assert_eq!(set, if alive.is_some() { Ok(()) } else { Err(UnknownContext(ContextId(context))) });
    }

    /// A texture, what of it the compositor or script is to see, and the ids that are handed in with it.
    fn texture(&mut self, at: usize, texture: Texture) -> (PendingTexture, Present) {
        let Texture { device, size: (width, height), rgba, opaque, trouble } = texture;
        let engine = &mut self.engines[at];
        let number = engine.devices[device];
        self.textures += 1;
        let [red, green, ..] = self.textures.to_le_bytes();
        let bytes = if rgba { [red, green, 77, 200] } else { [77, green, red, 200] };
        let fault = match trouble {
            Trouble::Invalid => Some(Fault::Invalid),
            Trouble::Destroyed => Some(Fault::Destroyed),
            _ => None,
        };
        let owner = if trouble == Trouble::WrongDevice { FOREIGN } else { number };
        let texture_id = engine.gpu.texture(fake::device(owner), bytes, fault);
        let format = match trouble {
            Trouble::UnsupportedFormat => TextureFormat::Rgba32Float,
            _ if rgba => TextureFormat::Rgba8Unorm,
            _ => TextureFormat::Bgra8Unorm,
        };
        let size = if trouble == Trouble::TooLarge { size(1 << 16, 1 << 16) } else { size(width, height) };
        let alpha_mode = if opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
        let encoder_ids = (!self.textures.is_multiple_of(4)).then(|| fake::encoder_ids(self.textures));
        if let Some(EncoderIds { command_encoder, command_buffer }) = encoder_ids {
            engine.hand_in(ReturnedId::CommandEncoder(command_encoder));
            engine.hand_in(ReturnedId::CommandBuffer(command_buffer));
        }
        let configuration = ContextConfiguration { format, alpha_mode, ..configuration(number, size) };
        let picture = if size.is_empty() {
            Picture::cleared(size, opaque)
        } else {
            Picture { pixel: [red, green, 77, if opaque { 255 } else { 200 }], size }
        };
        let present = Present {
            epoch: 0,
            picture,
            device: (!size.is_empty()).then_some(number),
            trouble: if size.is_empty() { Trouble::Good } else { trouble },
            batched: false,
            image: None,
            nth: 0,
        };
        (PendingTexture { texture_id, encoder_ids, configuration }, present)
    }

    fn drop_texture(&self, at: usize, texture: TextureId) {
        self.engines[at].gpu.destroy_texture(texture);
        self.engines[at].gpu.drop_texture(texture);
    }

    fn present(&mut self, at: usize, context: u64, epoch: u64, texture: Texture, batched: bool) {
        let (pending, present) = self.texture(at, texture);
        let presenter = self.engines[at].presenter();
        let contents = Contents::Texture(pending);
        let result = if batched {
            let mut batch = presenter.batch();
            let result = batch.present(ContextId(context), contents, CanvasEpoch(epoch));
            batch.destroy_texture(pending.texture_id);
            batch.drop_texture(pending.texture_id);
            // The next one submits it.
            std::mem::forget(batch);
            result
        } else {
            let result = presenter.present(ContextId(context), contents, CanvasEpoch(epoch));
            self.drop_texture(at, pending.texture_id);
            result
        };
        self.begun(at, context, Present { epoch, batched, ..present }, result);
    }

    fn clear(
        &mut self,
        at: usize,
        context: u64,
        epoch: u64,
        size: euclid::default::Size2D<u32>,
        opaque: bool,
    ) {
        let alpha_mode = if opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
        let contents = Contents::Cleared { size, alpha_mode };
        let result = self.engines[at].presenter().present(ContextId(context), contents, CanvasEpoch(epoch));
        let present = Present {
            epoch,
            picture: Picture::cleared(size, opaque),
            device: None,
            trouble: Trouble::Good,
            batched: false,
            image: None,
            nth: 0,
        };
        self.begun(at, context, present, result);
    }

    fn begun(&mut self, at: usize, context: u64, present: Present, result: Result<u64, PresentError>) {
        let Some(index) = self.alive(at, context) else {
            return assert!(matches!(result, Err(PresentError::UnknownContext(_))), "{result:?}");
        };
        let sequence = self.lives[index].presents.len() + 1;
        match (present.trouble, result) {
            (Trouble::UnsupportedFormat, Err(PresentError::UnsupportedFormat(_)))
            | (Trouble::TooLarge, Err(PresentError::TooLarge(_))) => {}
            (Trouble::UnsupportedFormat | Trouble::TooLarge, result) => panic!("{result:?}"),
            (_, result) => assert_eq!(result.ok(), Some(sequence as u64)),
        }
        let same = self.lives[..index].iter().filter(|life| life.at == at && life.id == context);
        let nth = same.filter(|life| life.presents.len() >= sequence).count();
        let life = &mut self.lives[index];
        let image = life.images.last().copied();
        life.presents.push(Present { image, nth, ..present });
    }

    fn read(&mut self, at: usize, context: u64) {
        let life = self.alive(at, context);
        let engine = &mut self.engines[at];
        // An engine cannot read while a batch is open.
        engine.presenter().batch().submit();
        let slot = self.images.slot();
        engine.presenter().get_image(ContextId(context), None, |image| slot(image.map(Image::Held)));
        let begun = life.map_or(0, |life| self.lives[life].presents.len());
        self.note_read(Read { life, begun, texture: None });
    }

    fn capture(&mut self, at: usize, context: u64, texture: Texture) {
        let life = self.alive(at, context);
        let (pending, present) = self.texture(at, texture);
        let slot = self.images.slot();
        let presenter = self.engines[at].presenter();
        presenter.get_image(ContextId(context), Some(pending), |image| slot(image.map(Image::Held)));
        self.drop_texture(at, pending.texture_id);
        self.note_read(Read { life, begun: 0, texture: Some(present) });
    }

    fn note_read(&mut self, read: Read) {
        if let Some(life) = read.life {
            self.lives[life].reads += 1;
        }
        self.reads.push(read);
    }

    fn drop_snapshots(&self) {
        self.images.get(|images| {
            for image in images.iter_mut().flatten().flatten() {
                *image = Image::Seen(image.picture());
            }
        });
    }

    fn wait(&mut self, context: u64, epoch: u64, patient: bool) {
        let timeout = if patient { Duration::from_secs(3600) } else { Duration::ZERO };
        let slot = self.awaited.slot();
        self.map.when_presented(ContextId(context), CanvasEpoch(epoch), timeout, slot);
        self.waits.push(Wait { context, epoch, patient });
    }

    fn destroy(&mut self, at: usize, context: u64, after: Option<u64>) {
        let presenter = self.engines[at].presenter();
        let destroyed = match after {
            None => presenter.destroy_context(ContextId(context)),
            Some(transaction) => {
                presenter.destroy_context_after(ContextId(context), TransactionId(transaction))
            }
        };
        let Some(life) = self.alive(at, context) else {
            return assert_eq!(destroyed, Err(UnknownContext(ContextId(context))));
        };
        destroyed.expect("it is alive");
        let life = &mut self.lives[life];
        let compositor = life.images.last().map(|image| self.engines[at].images[*image].0.0);
        life.state = match (after, compositor) {
            (Some(transaction), Some(compositor)) if !self.compositors.have_done(compositor, transaction) => {
                State::Lingering(compositor, transaction)
            }
            _ => State::Gone,
        };
    }

    fn destroy_owner(&mut self, at: Option<usize>, owner: u64) {
        let ended = match at {
            Some(at) => self.engine(at).presenter().destroy_owner(OwnerId(owner)),
            None => self.map.destroy_owner(OwnerId(owner)),
        };
        let mut count = 0;
        for life in self.lives.iter_mut().filter(|life| life.owner == owner && life.state != State::Gone) {
            life.state = State::Gone;
            count += 1;
            let engine = &self.engines[life.at];
            if at.is_none_or(|at| self.at[at] != life.at) {
                // Its presenter submits what is in an open batch later, when there is no image.
                life.owe_what(|context, sequence, present| {
                    !present.batched || engine.end(context, sequence, present.nth).is_some()
                });
            }
        }
        assert_eq!(ended, count);
    }

    pub(super) fn drop_presenter(&mut self, at: usize) {
        self.engines[at].presenter = None;
        for life in self.lives.iter_mut().filter(|life| life.at == at) {
            life.state = State::Gone;
        }
    }

    /// Waits until pollers have ended what a device was given.
    fn settle(&self, at: usize, device: usize) {
        let at = self.at[at];
        let engine = &self.engines[at];
        let device = Some(engine.devices[device]);
        for life in self.lives.iter().filter(|life| life.at == at && life.is_alive()) {
            for (index, present) in life.presents.iter().enumerate() {
                let (context, nth) = (ContextId(life.id), present.nth);
                if present.device == device && engine.end(life.id, index + 1, nth).is_none() {
                    engine.recorder.until("a present ends", |record| {
                        let ends = record.outcomes.get(&(context, index as u64 + 1));
                        ends.is_some_and(|ends| ends.len() > nth)
                    });
                }
            }
        }
        for (index, read) in self.reads.iter().enumerate() {
            let is_here = read.life.is_some_and(|life| self.lives[life].at == at);
            if is_here && read.texture.as_ref().is_some_and(|texture| texture.device == device) {
                self.images.until(index);
            }
        }
    }

    fn lock(&mut self, renderer: usize, context: u64, before: usize, generation: bool) {
        let named = self.named(context);
        let offer = self.offer(context, before).filter(|_| generation);
        let was_offered = |life: &Life| life.id == context && !life.images.is_empty();
        if generation && offer.is_none() && self.lives.iter().any(was_offered) {
            // The renderer was not told of it yet, so it does not ask.
            return;
        }
        // Nobody knows which of those that may still be locked is meant.
        let outstanding = named.map(|named| self.offers(named).split_off(self.lives[named].locked));
        let asked = generation.then(|| offer.map_or(0, |offer| offer.generation));
        let Some(seen) = self.renderers[renderer].lock(context, named, asked) else { return };
        let Some(named) = named else { return };
        match (asked, offer) {
            (Some(_), Some(offer)) => {
                // Its first may have been held back: then the last one of an earlier life is repeated, without its frame.
                let is_new = offer.index > 0 || !self.is_repeated(&offer);
                let is_newest = offer.life == named && offer.index >= self.lives[named].locked && is_new;
                if offer.life == named {
                    self.lives[named].locked = self.lives[named].locked.max(offer.index);
                }
                let pictures = self.lives.iter().filter(|life| life.id == context);
                let pictures = pictures.flat_map(|life| life.presents.iter().map(|present| present.picture));
                seen.check(&offer.descriptor, is_newest, pictures);
            }
            (None, _) => {
                let bytes = outstanding.iter().flatten().map(|(descriptor, _)| {
                    descriptor.compute_stride() as usize * descriptor.size.height as usize
                });
                assert!(bytes.max() <= Some(seen.len), "too short for one of {outstanding:?}");
                // It was the last, of which perhaps the compositor was not told yet.
                self.engines[self.lives[named].at].sync();
                self.lives[named].locked = self.offers(named).len().saturating_sub(1);
            }
            _ => {}
        }
    }

    /// What the compositor was told of a life, each generation once.
    pub(super) fn offers(&self, life: usize) -> Vec<(webrender_api::ImageDescriptor, u8)> {
        let life = &self.lives[life];
        let told = self.engines[life.at].told();
        let told = life.images.iter().filter_map(|image| told.get(*image));
        let mut offers: Vec<_> = told.flat_map(|image| image.offers.iter().copied()).collect();
        offers.dedup_by_key(|(_, generation)| *generation);
        offers
    }

    /// Whether an earlier life of the same id ended with this offer.
    fn is_repeated(&self, offer: &Offer) -> bool {
        let same = |index: &usize| self.lives[*index].id == self.lives[offer.life].id;
        let earlier = (0..offer.life).rev().filter(same).map(|index| self.offers(index));
        earlier.flat_map(|offers| offers.last().copied()).next() == Some((offer.descriptor, offer.generation))
    }

    /// The last offer of a context id, or one so many before.
    fn offer(&self, context: u64, before: usize) -> Option<Offer> {
        let lives = (0..self.lives.len()).filter(|life| self.lives[*life].id == context);
        let offers = lives.flat_map(|life| {
            let offers = self.offers(life).into_iter().enumerate();
            offers.map(move |(index, (descriptor, generation))| Offer { life, index, descriptor, generation })
        });
        offers.collect::<Vec<_>>().into_iter().rev().nth(before)
    }

    /// What holds after each step.
    fn look(&self) {
        self.renderers.iter().for_each(Renderer::look);
        for at in self.at {
            let Some(presenter) = &self.engines[at].presenter else { continue };
            for context in 0..4 {
                let statistics = presenter.statistics(ContextId(context)).ok();
                let life = self.alive(at, context).map(|life| &self.lives[life]);
                assert_eq!(statistics.is_some(), life.is_some());
                let (Some(statistics), Some(life)) = (statistics, life) else { continue };
                let is_calm = life.reads == 0 && life.is_on_one_device();
                assert!(statistics.in_flight <= if is_calm { 3 } else { 9 + 8 }, "{statistics:?}");
                assert!(life.provided == 0 || statistics.buffers <= life.provided, "{statistics:?}");
                assert!(statistics.buffers <= 20, "{statistics:?}");
            }
        }
    }

    pub(super) fn is_portable(&self) -> bool {
        self.memory == Portable
    }
}

/// An update that a renderer was told of: of which life, and which of its offers.
#[derive(Clone, Copy, Debug)]
struct Offer {
    life: usize,
    index: usize,
    descriptor: webrender_api::ImageDescriptor,
    generation: u8,
}
