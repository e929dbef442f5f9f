//! The WebGPU thread of a random engine. It does what scripts say, as an engine does it, and tells the oracle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use parking_lot::Mutex;
use webgpu_presentation::*;
use webrender_api::{IdNamespace, ImageKey};
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, TextureId};
use wgpu_types::TextureFormat;

use super::super::oracle::{Loss, Oracle, Picture, Request, Trouble, Upload, Witness};
use super::renderer::Renderer;
use super::step::{Disturbance, Step, Texture};
use super::{Device, Drawing, Ids, Parts, Setup};

/// Devices of a presenter at once.
const DEVICES: usize = 3;
/// Textures that script keeps.
const MOST_KEPT: usize = 4;
/// No context has this id.
const NOBODY: ContextId = ContextId(u64::MAX);

pub struct Engine<P> {
    pub witness: Arc<Witness>,
    pub map: ContextMap,
    pub renderers: Arc<[Mutex<Renderer>]>,
    pub seats: Vec<Seat<P>>,
    pub setup: Setup,
    /// Devices so far.
    pub devices_made: u32,
    /// Parts of presenters that are gone, and how many presenters there were.
    pub(super) gone: Vec<P>,
    seats_made: usize,
    answers: Arc<Mutex<Vec<(u64, Answer)>>>,
    /// What script got.
    snapshots: Vec<(Snapshot, Option<Picture>)>,
}

type Answer = Result<Snapshot, GetImageError>;

/// A presenter, its parts, and what the engine knows of them.
pub struct Seat<P> {
    /// The number of the presenter.
    pub at: usize,
    pub presenter: Presenter,
    pub parts: P,
    pub devices: [Option<Held>; DEVICES],
    kept: Vec<Drawn>,
    wake: Arc<AtomicBool>,
}

#[derive(Clone, Copy)]
pub struct Held {
    pub device: Device,
    destroyed: bool,
}

/// A texture that script drew.
#[derive(Clone, Copy)]
struct Drawn {
    pending: PendingTexture,
    device: Device,
    drawing: Drawing,
    request: Request,
    kept: bool,
}

impl<P: Parts> Engine<P> {
    pub fn new(parts: Vec<P>, setup: Setup) -> Self {
        let (witness, map) = (Witness::new(Oracle::new(setup.memory), setup.patience), ContextMap::default());
        let renderers = (0..setup.renderers).map(|_| Mutex::new(Renderer::new(&map, &witness, setup)));
        let mut engine = Self {
            renderers: renderers.collect(),
            witness,
            map,
            seats: Vec::new(),
            setup,
            devices_made: 0,
            gone: Vec::new(),
            seats_made: 0,
            answers: Arc::default(),
            snapshots: Vec::new(),
        };
        for parts in parts {
            let seat = engine.seat(parts);
            engine.seats.push(seat);
        }
        engine
    }

    fn seat(&mut self, parts: P) -> Seat<P> {
        let (at, wake) = (self.seats_made, Arc::new(AtomicBool::new(false)));
        self.seats_made += 1;
        let wakes = wake.clone();
        let options = PresenterOptions {
            wake: Arc::new(move || wakes.store(true, Ordering::Release)),
            frame_memory: self.setup.memory,
            spin: self.setup.spin,
            ..self.witness.options(at)
        };
        let presenter = parts.presenter(&self.map, self.witness.sink(at), options);
        Seat { at, presenter, parts, devices: [None; DEVICES], kept: Vec::new(), wake }
    }

    /// Does what came in, and what was asked for meanwhile.
    pub fn perform(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            self.go(step);
        }
        for seat in &mut self.seats {
            if seat.wake.swap(false, Ordering::AcqRel) {
                seat.presenter.maintain();
            }
        }
    }

    pub fn go(&mut self, step: Step) {
        match step {
            Step::Create { at, context, owner, size, ids, compositor } => {
                self.create(at, ContextId(context), OwnerId(owner), size.into(), ids);
                if let Some(compositor) = compositor {
                    self.set_key(at, context, compositor);
                }
            }
            Step::SetKey { at, context, compositor } => self.set_key(at, context, compositor),
            Step::Present { at, context, epoch, texture, batched } => {
                let drawn = self.draw(at, ContextId(context), &texture);
                self.present(at, ContextId(context), epoch, drawn, batched);
            }
            Step::Burst { at, context, texture, count, reads } => {
                // Drawn before, so that nothing comes between.
                let drawn: Vec<_> = (0..count).map(|_| self.draw(at, ContextId(context), &texture)).collect();
                for (index, drawn) in drawn.into_iter().enumerate() {
                    self.present(at, ContextId(context), index as u64, drawn, false);
                    if reads >> index & 1 != 0 {
                        self.read(at, ContextId(context));
                    }
                }
            }
            Step::Again { at, context, epoch, kept } => {
                self.present_again(at, ContextId(context), epoch, kept)
            }
            Step::Clear { at, context, epoch, size, opaque, times } => {
                let request = Request::cleared(Picture::cleared(size.into(), opaque), epoch);
                (0..times).for_each(|_| self.present_cleared(at, ContextId(context), request));
            }
            Step::Submit { at } => self.seat_of(at).presenter.batch().submit(),
            Step::Read { at, context } => self.read(at, ContextId(context)),
            Step::Capture { at, context, texture } => self.capture(at, ContextId(context), &texture),
            Step::DropSnapshots => self.drop_snapshots(0),
            Step::Wait { context, epoch, milliseconds } => self.wait(ContextId(context), epoch, milliseconds),
            Step::Destroy { at, context, after } => self.destroy(at, ContextId(context), after),
            Step::DestroyOwner { at, owner } => self.destroy_owner(at, OwnerId(owner)),
            Step::Transactions { compositor, count } => {
                let namespace = IdNamespace(compositor);
                let done = self.witness.tell(|oracle| oracle.does_transactions(namespace, count));
                self.map.transaction_done(namespace, TransactionId(done));
            }
            Step::Trim { at, owner } => self.seat_of(at).presenter.trim(OwnerId(owner)),
            Step::Maintain { at } => self.seat_of(at).presenter.maintain(),
            Step::Ask { at, device } => {
                let device = self.device(at, device).device;
                let Seat { presenter, parts, .. } = self.seat_of(at);
                match parts.closure(device) {
                    Some(index) => presenter.poller().wait_for(device.id, index),
                    None => presenter.poller().wake(device.id),
                }
                presenter.memory_report();
            }
            Step::DestroyDevice { at, device, directly } => self.destroy_device(at, device, directly),
            Step::DropDevice { at, device } => self.drop_device(at, device),
            Step::Rest { milliseconds } => std::thread::sleep(Duration::from_millis(milliseconds)),
            Step::Disturb { at, device, disturbance } => self.disturb(at, device, disturbance),
            Step::Build { renderer, hides } => {
                self.renderers[renderer].lock().build(|context| context != ContextId(hides));
            }
            Step::Render { renderer, holds } => self.renderers[renderer].lock().render(holds),
            Step::Lock { renderer, context, before, generation } => {
                self.lock(renderer, ContextId(context), before, generation);
            }
            Step::Unlock { renderer, nth } => {
                let mut renderer = self.renderers[renderer].lock();
                let nth = nth.checked_rem(renderer.held.len()).unwrap_or(0);
                renderer.unlock(nth, true);
            }
            Step::DropRenderer { renderer } => {
                *self.renderers[renderer].lock() = Renderer::new(&self.map, &self.witness, self.setup);
            }
            Step::DropPresenter { at } => self.drop_presenter(at),
        }
        self.look();
    }

    pub fn seat_of(&mut self, at: usize) -> &mut Seat<P> {
        let index = at % self.seats.len();
        &mut self.seats[index]
    }

    fn device(&mut self, at: usize, device: usize) -> Held {
        let number = self.devices_made;
        let seat = self.seat_of(at);
        let slot = &mut seat.devices[device % DEVICES];
        if let Some(held) = *slot {
            return held;
        }
        let held = *slot.insert(Held { device: seat.parts.device(number), destroyed: false });
        self.devices_made += 1;
        held
    }

    fn create(&mut self, at: usize, context: ContextId, owner: OwnerId, size: Size2D<u32>, ids: usize) {
        let buffer_ids = match self.setup.ids {
            Ids::None => BufferIds::Allocated,
            Ids::Some if ids == 0 => BufferIds::Allocated,
            Ids::Some | Ids::All => BufferIds::Provided((0..ids).map(|_| self.buffer_id()).collect()),
        };
        let descriptor = ContextDescriptor { owner, size, buffer_ids };
        let seat = self.seat_of(at);
        let (at, result) = (seat.at, seat.presenter.create_context(context, descriptor.clone()));
        self.witness.tell(|oracle| oracle.created(at, context, &descriptor, result));
    }

    fn set_key(&mut self, at: usize, context: u64, compositor: u32) {
        let key = ImageKey::new(IdNamespace(compositor), context as u32);
        let (at, witness) = (at % self.seats.len(), self.witness.clone());
        let Seat { at, presenter, .. } = &mut self.seats[at];
        let known = witness.tell(|oracle| oracle.sets_key(*at, ContextId(context), key));
        let result = presenter.set_image_key(ContextId(context), key);
        witness.tell(|oracle| {
            oracle.rule(result.is_ok() == known, || format!("setting {key:?} came to {result:?}"))
        });
    }

    // Textures and presents.

    fn buffer_id(&self) -> BufferId {
        let is_buffer = |id: &ReturnedId| matches!(id, ReturnedId::Buffer(_));
        let new = |id| ReturnedId::Buffer(BufferId::zip(id, 1));
        match self.witness.tell(|oracle| oracle.lend(is_buffer, new)) {
            ReturnedId::Buffer(id) => id,
            id => unreachable!("{id:?}"),
        }
    }

    fn encoder_ids(&self) -> EncoderIds {
        let (is_encoder, is_buffer) = (
            |id: &ReturnedId| matches!(id, ReturnedId::CommandEncoder(_)),
            |id: &ReturnedId| matches!(id, ReturnedId::CommandBuffer(_)),
        );
        let lent = self.witness.tell(|oracle| {
            let encoder =
                oracle.lend(is_encoder, |id| ReturnedId::CommandEncoder(CommandEncoderId::zip(id, 1)));
            (encoder, oracle.lend(is_buffer, |id| ReturnedId::CommandBuffer(CommandBufferId::zip(id, 1))))
        });
        match lent {
            (ReturnedId::CommandEncoder(command_encoder), ReturnedId::CommandBuffer(command_buffer)) => {
                EncoderIds { command_encoder, command_buffer }
            }
            ids => unreachable!("{ids:?}"),
        }
    }

    /// What script does. A texture that is told to have no pixels has some.
    fn draw(&mut self, at: usize, context: ContextId, texture: &Texture) -> Drawn {
        let Texture { rgba, opaque, kept, .. } = *texture;
        let size = Size2D::from(texture.size);
        let Held { device, destroyed } = self.device(at, texture.device);
        let number = self.witness.tell(Oracle::new_picture);
        let is_known = self.seat_of(at).parts.knows(texture.trouble);
        let other = self.device(at, texture.device + 1);
        let trouble = match texture.trouble {
            Trouble::WrongDevice if other.destroyed => Trouble::Good,
            trouble if is_known => trouble,
            _ => Trouble::Good,
        };
        let encoder_ids = match self.setup.ids {
            Ids::None => None,
            Ids::Some if number.is_multiple_of(4) => None,
            Ids::Some | Ids::All => Some(self.encoder_ids()),
        };
        let seat = self.seat_of(at);
        let lost = destroyed || seat.parts.lost().contains(&device.id);
        let drawn = Picture { number, size: size.max(Size2D::new(1, 1)), opaque };
        let drawing = Drawing { picture: drawn, bgra: !rgba, trouble, lost };
        let owner = if trouble == Trouble::WrongDevice { other.device } else { device };
        let size = match trouble {
            Trouble::WrongSize => Size2D::new(size.width + 3, size.height),
            Trouble::TooLarge => Size2D::new(u32::MAX / 2, size.height.max(1)),
            _ => size,
        };
        let format = match trouble {
            Trouble::UnsupportedFormat => TextureFormat::Rgba32Float,
            _ if rgba => TextureFormat::Rgba8Unorm,
            _ => TextureFormat::Bgra8Unorm,
        };
        let configuration = ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            format,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: if opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied },
            size,
        };
        // What is kept is drawn again after its present, which a canvas texture of the presenter's is not.
        let seat = self.seat_of(at);
        let is_canvas = trouble == Trouble::Good && !kept && !size.is_empty() && !number.is_multiple_of(3);
        let texture_id = if is_canvas {
            seat.parts.canvas_texture(&mut seat.presenter, context, &configuration, &drawing)
        } else {
            seat.parts.texture(owner, &drawing)
        };
        let request = if size.is_empty() {
            Request::cleared(Picture::cleared(size, opaque), 0)
        } else {
            let picture = Picture { number, size, opaque };
            Request { device: Some(device.id), trouble, lost, ..Request::cleared(picture, 0) }
        };
        Drawn {
            pending: PendingTexture { texture_id, encoder_ids, configuration },
            device,
            drawing,
            request,
            kept,
        }
    }

    fn present(&mut self, at: usize, context: ContextId, epoch: u64, drawn: Drawn, batched: bool) {
        let request = Request { epoch, batched, ..drawn.request };
        let texture = drawn.pending.texture_id;
        let index = at % self.seats.len();
        let Seat { at: number, presenter, .. } = &mut self.seats[index];
        let sequence = self.witness.tell(|oracle| oracle.presents(*number, context, request));
        let contents = Contents::Texture(drawn.pending);
        let result = if batched {
            let mut batch = presenter.batch();
            let result = batch.present(context, contents, CanvasEpoch(epoch));
            if !drawn.kept {
                self.witness.tell(|oracle| oracle.gives_up(*number, texture));
                batch.destroy_texture(texture);
                batch.drop_texture(texture);
            }
            // The next one submits it.
            std::mem::forget(batch);
            result
        } else {
            let result = presenter.present(context, contents, CanvasEpoch(epoch));
            if !drawn.kept {
                end_texture(presenter, &self.witness, *number, texture);
            }
            result
        };
        self.witness.tell(|oracle| oracle.returned(sequence, &result));
        if drawn.kept {
            self.keep(at, drawn);
        }
    }

    fn keep(&mut self, at: usize, drawn: Drawn) {
        let witness = self.witness.clone();
        let seat = self.seat_of(at);
        seat.kept.push(drawn);
        if seat.kept.len() > MOST_KEPT {
            let oldest = seat.kept.remove(0).pending.texture_id;
            end_texture(&mut seat.presenter, &witness, seat.at, oldest);
        }
    }

    /// Draws the next picture into a texture that script kept, and presents that alone.
    fn present_again(&mut self, at: usize, context: ContextId, epoch: u64, kept: usize) {
        let number = self.witness.tell(Oracle::new_picture);
        let seat = self.seat_of(at);
        seat.presenter.batch().submit();
        // A copy that waits for room must find what was presented, not what is drawn next. The presenter tells that copies wait by a deadline
        // that is close.
        let deadline = seat.presenter.maintenance_deadline();
        if deadline.is_some_and(|deadline| deadline <= Instant::now() + Duration::from_millis(2)) {
            return;
        }
        let Some(index) = kept.checked_rem(seat.kept.len()) else { return };
        let Drawn { device, mut drawing, mut request, mut pending, .. } = seat.kept[index];
        let is_destroyed = |held: &Held| held.device.id == device.id && held.destroyed;
        if request.device.is_none()
            || request.trouble != Trouble::Good
            || seat.devices.iter().flatten().any(is_destroyed)
        {
            return;
        }
        (drawing.picture.number, request.picture.number) = (number, number);
        if seat.parts.redraw(device, pending.texture_id, &drawing) {
            pending.encoder_ids = pending.encoder_ids.map(|_| self.encoder_ids());
            self.seat_of(at).kept.remove(index);
            self.present(at, context, epoch, Drawn { device, drawing, request, pending, kept: true }, false);
        }
    }

    fn present_cleared(&mut self, at: usize, context: ContextId, request: Request) {
        let index = at % self.seats.len();
        let Seat { at, presenter, .. } = &mut self.seats[index];
        let sequence = self.witness.tell(|oracle| oracle.presents(*at, context, request));
        let alpha_mode = if request.picture.opaque { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
        let contents = Contents::Cleared { size: request.picture.size, alpha_mode };
        let result = presenter.present(context, contents, CanvasEpoch(request.epoch));
        self.witness.tell(|oracle| oracle.returned(sequence, &result));
    }

    // Reads and waits.

    fn read(&mut self, at: usize, context: ContextId) {
        // An engine cannot read while a batch is open.
        self.seat_of(at).presenter.batch().submit();
        self.ask(at, context, None);
    }

    fn capture(&mut self, at: usize, context: ContextId, texture: &Texture) {
        let drawn = self.draw(at, context, texture);
        self.ask(at, context, Some(drawn));
        let witness = self.witness.clone();
        let seat = self.seat_of(at);
        end_texture(&mut seat.presenter, &witness, seat.at, drawn.pending.texture_id);
    }

    fn ask(&mut self, at: usize, context: ContextId, drawn: Option<Drawn>) -> u64 {
        let index = at % self.seats.len();
        let Seat { at, presenter, .. } = &mut self.seats[index];
        let (witness, answers) = (self.witness.clone(), self.answers.clone());
        let read = witness.tell(|oracle| oracle.asks(*at, context, drawn.map(|drawn| drawn.request)));
        presenter.get_image(context, drawn.map(|drawn| drawn.pending), move |answer| {
            answers.lock().push((read, answer));
            witness.tell(|oracle| oracle.replied(read));
        });
        read
    }

    /// Looks at what was answered.
    pub fn collect(&mut self) {
        let answers = std::mem::take(&mut *self.answers.lock());
        for (read, answer) in answers {
            let answer = answer.map(|snapshot| {
                let seen = self.see(&snapshot);
                self.snapshots.push((snapshot, seen));
                seen
            });
            self.witness.tell(|oracle| oracle.answered(read, answer));
        }
        self.drop_snapshots(self.setup.most_snapshots);
    }

    fn see(&self, snapshot: &Snapshot) -> Option<Picture> {
        if self.setup.is_blind {
            return None;
        }
        let opaque = snapshot.alpha_mode() == AlphaMode::Opaque;
        let bgra = snapshot.format() == PixelFormat::Bgra8;
        let bytes = snapshot.to_vec().expect("there is memory for it");
        // The images of empty canvases have no rows.
        let row = (4 * snapshot.size().width as usize).max(1);
        let seen = Picture::of(|| bytes.chunks(row), snapshot.size(), opaque, bgra, self.setup.pattern);
        self.witness.tell(|oracle| oracle.rule(seen.is_some(), || format!("torn: {snapshot:?}")));
        seen
    }

    /// Script drops what it got, but for so many. It was what it is.
    pub(super) fn drop_snapshots(&mut self, most: usize) {
        let dropped = self.snapshots.len().saturating_sub(most);
        for (snapshot, before) in self.snapshots.drain(..dropped).collect::<Vec<_>>() {
            let seen = self.see(&snapshot);
            self.witness.tell(|oracle| oracle.rule(seen == before, || format!("{before:?} became {seen:?}")));
        }
    }

    fn wait(&mut self, context: ContextId, epoch: u64, milliseconds: Option<u64>) {
        let witness = self.witness.clone();
        let wait = witness.tell(|oracle| oracle.waits(context, epoch, milliseconds.is_none()));
        let time = milliseconds.map_or(Duration::MAX, Duration::from_millis);
        self.map.when_presented(context, CanvasEpoch(epoch), time, move |end| {
            witness.tell(|oracle| oracle.awaited(wait, end));
        });
    }

    // Ends.

    fn destroy(&mut self, at: usize, context: ContextId, after: Option<u64>) {
        let index = at % self.seats.len();
        let Seat { at, presenter, .. } = &mut self.seats[index];
        let (known, transaction) = self.witness.tell(|oracle| oracle.destroys(*at, context, after));
        let result = match after {
            None => presenter.destroy_context(context),
            Some(_) => presenter.destroy_context_after(context, TransactionId(transaction)),
        };
        let is_right = result.is_ok() == known;
        self.witness
            .tell(|oracle| oracle.rule(is_right, || format!("destroying {context:?} came to {result:?}")));
    }

    fn destroy_owner(&mut self, at: Option<usize>, owner: OwnerId) {
        let index = at.map(|at| at % self.seats.len());
        let at = index.map(|index| self.seats[index].at);
        let known = self.witness.tell(|oracle| oracle.destroys_owner(at, owner));
        let map = &self.map;
        let ended = match index {
            Some(index) => self.seats[index].presenter.destroy_owner(owner),
            None => std::thread::scope(|scope| scope.spawn(|| map.destroy_owner(owner)).join().unwrap_or(0)),
        };
        let is_right = ended == known;
        self.witness
            .tell(|oracle| oracle.rule(is_right, || format!("{known} end with {owner:?}, not {ended}")));
    }

    fn destroy_device(&mut self, at: usize, device: usize, directly: bool) {
        let Held { device, .. } = self.device(at, device);
        self.witness.tell(|oracle| oracle.loses(device.id, Loss::Ended));
        let Seat { presenter, parts, devices, .. } = self.seat_of(at);
        devices
            .iter_mut()
            .flatten()
            .filter(|held| held.device.id == device.id)
            .for_each(|held| held.destroyed = true);
        presenter.batch().submit();
        if !(directly && parts.destroy_device(device)) {
            presenter.destroy_device(device.id);
        }
    }

    fn drop_device(&mut self, at: usize, device: usize) {
        let witness = self.witness.clone();
        let Seat { presenter, parts, devices, kept, .. } = self.seat_of(at);
        // One that is of no use any more, if there is one.
        let destroyed = devices.iter().position(|held| held.is_some_and(|held| held.destroyed));
        let Some(Held { device, .. }) = devices[destroyed.unwrap_or(device % DEVICES)].take() else { return };
        witness.tell(|oracle| oracle.loses(device.id, Loss::Ended));
        presenter.batch().submit();
        for drawn in kept.extract_if(.., |drawn| drawn.device.id == device.id) {
            parts.destroy_texture(drawn.pending.texture_id);
            parts.drop_texture(drawn.pending.texture_id);
        }
        presenter.drop_device(device.id);
        parts.drop_device(device, true);
    }

    fn drop_presenter(&mut self, at: usize) {
        let index = at % self.seats.len();
        if let Some(parts) = self.seats[index].parts.another() {
            let seat = self.seat(parts);
            let seat = std::mem::replace(&mut self.seats[index], seat);
            self.end(seat);
        }
    }

    /// Drops a presenter, and then what it presented.
    pub(super) fn end(&mut self, seat: Seat<P>) {
        let Seat { at, presenter, parts, devices, kept, .. } = seat;
        self.witness.tell(|oracle| oracle.presenter_goes(at));
        drop(presenter);
        for drawn in kept {
            parts.destroy_texture(drawn.pending.texture_id);
            parts.drop_texture(drawn.pending.texture_id);
        }
        devices.iter().flatten().for_each(|held| parts.drop_device(held.device, false));
        self.gone.push(parts);
    }

    // What happens elsewhere.

    fn disturb(&mut self, at: usize, device: usize, disturbance: Disturbance) {
        let Held { device, .. } = self.device(at, device);
        let witness = self.witness.clone();
        let Seat { at, presenter, parts, .. } = self.seat_of(at);
        let racing = match disturbance {
            Disturbance::Finish { racing } => racing,
            Disturbance::Lose { racing } => {
                witness.tell(|oracle| oracle.loses(device.id, Loss::Lost));
                racing
            }
            Disturbance::FailCreations { count } => {
                witness.tell(|oracle| oracle.may_fail(*at).memory += count);
                return parts.disturb(device, disturbance);
            }
            Disturbance::FailSubmit { may_be_in_flight } => {
                // All of a batch may fail, and what they were to supersede.
                witness.tell(|oracle| oracle.may_fail(*at).memory += if may_be_in_flight { 8 } else { 1 });
                return parts.disturb(device, disturbance);
            }
            Disturbance::FailMappings { count } => {
                witness.tell(|oracle| oracle.may_fail(*at).mappings += count);
                return parts.disturb(device, disturbance);
            }
        };
        presenter.batch().submit();
        parts.disturb(device, disturbance);
        if !racing {
            let id = Some(device.id);
            let is_over = move |oracle: &Oracle| oracle.open(id) + oracle.unanswered(id) == 0;
            witness.until_with("pollers have done their part", is_over, || {
                // An engine is woken because copies wait for room, and another device may have the only buffer id.
                presenter.maintain();
                parts.finish_all();
            });
        }
    }

    fn lock(&mut self, renderer: usize, context: ContextId, before: usize, generation: bool) {
        let (offer, last) = self
            .witness
            .tell(|oracle| (oracle.offer_before(context, before), oracle.offer_before(context, 0)));
        match (offer, last) {
            (Some(offer), _) if generation => {
                self.renderers[renderer].lock().lock(&Upload::again(offer));
            }
            (None, None) if generation => {
                self.renderers[renderer].lock().lock_blindly(context, Some(0));
            }
            // It was not told of that, so it does not ask.
            (None, Some(_)) if generation => {}
            _ => {
                self.renderers[renderer].lock().lock_blindly(context, None);
                // It was the last, of which perhaps the compositor was not told yet.
                self.sync();
                self.witness.tell(Oracle::told_last);
            }
        }
    }

    /// Waits until everything is told that was decided.
    pub(super) fn sync(&mut self) {
        for index in 0..self.seats.len() {
            let read = self.ask(index, NOBODY, None);
            self.witness.until("everything is told", |oracle| oracle.is_answered(read));
        }
        self.collect();
    }

    /// What holds after each step.
    fn look(&mut self) {
        self.collect();
        for Seat { at, presenter, .. } in &self.seats {
            for context in 0..self.setup.contexts {
                let statistics = presenter.statistics(ContextId(context)).ok();
                self.witness.tell(|oracle| oracle.counted(*at, ContextId(context), statistics));
            }
        }
    }
}

/// Destroys and drops a texture once all copies of it are made.
fn end_texture(presenter: &mut Presenter, witness: &Witness, at: usize, texture: TextureId) {
    witness.tell(|oracle| oracle.gives_up(at, texture));
    let mut batch = presenter.batch();
    batch.destroy_texture(texture);
    batch.drop_texture(texture);
}
