//! Pollers, a renderer, the WebGPU thread and one that ends an owner at the same time: every order in which they can take the
//! locks, with so many changes of threads at any point (and any number where one must wait).
//!
//! ```text
//! cargo rustc --lib --profile test --features webrender -- --cfg loom      (builds the tests; run them with `tests::loom`)
//! ```

use std::sync::Arc;

use euclid::default::Size2D;
use loom::thread;
use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_types::TextureFormat;

use crate::context::ContextData;
use crate::context::Purpose;
use crate::delivery::{Outbox, Recipients};
use crate::frame::CopyLayout;
use crate::frame::testing::copy_layout;
use crate::gpu::{Submission, fake};
use crate::staging::AvailableBuffer;
use crate::staging::{Loan, Recycler};
use crate::sync::Mutex;
use crate::{
    AlphaMode, CanvasEpoch, ContextId, ContextMap, ExternalImages, ImageSink, OwnerId, PresentError,
    TransactionId,
};

/// What two do not find four did not find either, in fifty times the time. `LOOM_MAX_PREEMPTIONS` sets another number.
const PREEMPTIONS: usize = 2;

const OWNER: OwnerId = OwnerId(1);

const NAMESPACE: IdNamespace = IdNamespace(1);

fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(PREEMPTIONS));
    model.check(scenario);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Add(ImageKey),
    /// With a generation.
    Update(ImageKey, u8, Option<u64>),
    Delete(ImageKey),
    /// Of a present with this epoch.
    Outcome(ContextId, u64),
    /// Written down by a test.
    Mark,
}

/// What was told, in order. Telling is a moment at which another thread may come in between.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Told>>>);

impl Record {
    fn tell(&self, told: Told) {
        self.0.lock().push(told);
    }

    fn get(&self) -> Vec<Told> {
        self.0.lock().clone()
    }
}

impl ImageSink for Record {
    fn add_image(&self, key: ImageKey, _: ImageDescriptor, _: ExternalImageData) {
        self.tell(Told::Add(key));
    }

    fn update_image(
        &self,
        key: ImageKey,
        _: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        self.tell(Told::Update(key, data.channel_index, epoch.map(|epoch| epoch.0)));
    }

    fn delete_image(&self, key: ImageKey) {
        self.tell(Told::Delete(key));
    }
}

/// A presenter without pollers and without a GPU: what is in flight is done.
struct Scene {
    map: ContextMap,
    outbox: Arc<Outbox>,
    record: Record,
}

/// A context, and where its buffers return to.
#[derive(Clone)]
struct Canvas {
    context: Arc<ContextData>,
    recycler: Arc<Recycler>,
}

fn key(id: u64) -> ImageKey {
    ImageKey::new(NAMESPACE, id as u32)
}

fn layout(height: u32) -> CopyLayout {
    copy_layout(Size2D::new(4, height), TextureFormat::Bgra8Unorm, AlphaMode::Premultiplied).unwrap()
}

impl Scene {
    fn new() -> Self {
        let record = Record::default();
        let outcomes = record.clone();
        let outbox = Outbox::new(Recipients {
            sink: Arc::new(record.clone()),
            on_outcome: Arc::new(move |outcome| {
                outcomes.tell(Told::Outcome(outcome.context, outcome.epoch.0))
            }),
            on_id: Arc::new(|_| ()),
            wake: Arc::new(|| ()),
        });
        Self { map: ContextMap::default(), outbox: Arc::new(outbox), record }
    }

    /// A context with an image key.
    fn canvas(&self, id: u64) -> Canvas {
        let (outbox, map) = (self.outbox.clone(), self.map.clone());
        let (fallback, waiters) = (map.fallback(), map.waiters());
        let make = |offers| {
            let size = Size2D::new(4, 2);
            Arc::new(ContextData::new(ContextId(id), OWNER, size, offers, outbox, fallback, waiters))
        };
        let context = map.insert(ContextId(id), make).unwrap();
        context.set_key(key(id));
        self.outbox.drain();
        Canvas { context, recycler: Arc::default() }
    }

    fn last_generation(&self) -> u8 {
        let update = |told: &Told| match told {
            Told::Update(_, generation, _) => Some(*generation),
            _ => None,
        };
        self.record.get().iter().rev().find_map(update).unwrap()
    }

    /// What must hold of all that was told of one context, in the end. `epochs` are those of its presents.
    fn check(&self, id: u64, epochs: &[u64], ended: bool) {
        let told = self.record.get();
        let (its, context) = (key(id), ContextId(id));
        let images = |told: &&Told| match told {
            Told::Add(key) | Told::Update(key, ..) | Told::Delete(key) => *key == its,
            Told::Outcome(..) | Told::Mark => false,
        };
        let images: Vec<_> = told.iter().filter(images).copied().collect();
        assert_eq!(images[0], Told::Add(its));
        let deletes = images.iter().filter(|told| matches!(told, Told::Delete(_))).count();
        assert_eq!(deletes, usize::from(ended), "{told:?}");
        if ended {
            assert_eq!(*images.last().unwrap(), Told::Delete(its), "{told:?}");
        }
        let updates = images.iter().filter_map(|told| match told {
            Told::Update(_, generation, epoch) => Some((*generation, *epoch)),
            _ => None,
        });
        let updates: Vec<_> = updates.collect();
        assert!(updates.is_sorted_by_key(|(generation, _)| *generation), "{told:?}");
        let acknowledged = updates.iter().filter_map(|(_, epoch)| *epoch).collect::<Vec<_>>();
        assert!(acknowledged.is_sorted(), "{told:?}");
        for epoch in epochs {
            let outcome = Told::Outcome(context, *epoch);
            assert_eq!(told.iter().filter(|told| **told == outcome).count(), 1, "{told:?}");
            let until = told.iter().position(|told| *told == outcome).unwrap();
            let satisfies = |told: &Told| matches!(told, Told::Update(key, _, Some(its)) if *key == self::key(id) && its >= epoch);
            assert!(told[..until].iter().any(satisfies), "{epoch} is acknowledged first: {told:?}");
        }
    }
}

impl Canvas {
    /// A present whose copy is done and not looked at: all bytes are `byte`. Returns its ticket.
    fn present(&self, byte: u8, height: u32, epoch: u64) -> u64 {
        let present = self.context.begin(CanvasEpoch(epoch), AlphaMode::Premultiplied).unwrap();
        let layout = layout(height);
        let buffer = fake::mapping_buffer(&self.recycler, &vec![byte; layout.byte_len()]);
        self.context.submitted(Purpose::Present(present), layout, buffer, None)
    }

    /// What a poller does.
    fn complete(&self, ticket: u64) {
        self.context.complete(ticket, &fake::completed());
        self.context.outbox().drain();
    }

    /// What a poller does when the device is lost.
    fn fail(&self, ticket: u64) {
        self.context.fail(ticket, &PresentError::DeviceLost);
        self.context.outbox().drain();
    }

    /// What the ring and the GPU do: other bytes are written to what has returned.
    fn reuse(&self) {
        let mut returned = Vec::new();
        self.recycler.collect(&mut returned, usize::MAX);
        for memory in returned.into_iter().filter_map(|returned| returned.memory) {
            let (len, device) = (memory.len(), fake::device(0));
            let buffer = AvailableBuffer::lent(Arc::default(), Loan(0), fake::buffer(0), device, memory);
            let mapping = buffer.submitted(Submission { device, index: 1 });
            let Ok(mut mapped) = mapping.complete(&fake::completed(), len) else { panic!("it is done") };
            mapped.edit(|bytes| bytes.fill(0xEE));
        }
    }
}

/// The byte that all bytes of what is locked are, looked at twice; `None` if nothing is.
fn read(images: &mut ExternalImages, id: u64, generation: Option<u8>) -> Option<u8> {
    let ExternalImageSource::RawData(bytes) = images.lock(ContextId(id).into(), generation) else {
        return None;
    };
    let byte = bytes[0];
    let whole = |bytes: &[u8]| bytes.iter().all(|other| *other == byte);
    assert!(whole(bytes));
    thread::yield_now();
    assert!(whole(bytes), "a locked frame changes");
    images.unlock(ContextId(id).into());
    Some(byte)
}

#[test]
fn what_two_pollers_tell_leaves_in_order() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let (first, second) = (canvas.present(1, 2, 5), canvas.present(2, 2, 9));
        let poller = canvas.clone();
        let poller = thread::spawn(move || poller.complete(first));
        canvas.complete(second);
        poller.join().unwrap();
        scene.check(1, &[5, 9], false);
        assert_eq!(read(&mut ExternalImages::new(&scene.map), 1, None), Some(2));
    });
}

#[test]
fn nothing_is_told_of_an_image_that_is_deleted() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let (first, second) = (canvas.present(1, 2, 5), canvas.present(2, 2, 9));
        let pollers = [canvas.clone(), canvas.clone()];
        let [one, other] = pollers;
        let one = thread::spawn(move || one.complete(first));
        let other = thread::spawn(move || other.fail(second));
        assert!(scene.map.destroy(&canvas.context));
        one.join().unwrap();
        other.join().unwrap();
        scene.check(1, &[5, 9], true);
    });
}

// What a presenter that goes away relies on.
#[test]
fn finishing_waits_for_who_is_telling() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let ticket = canvas.present(1, 2, 5);
        canvas.context.complete(ticket, &fake::completed());
        let outbox = scene.outbox.clone();
        let other = thread::spawn(move || outbox.drain());
        scene.outbox.finish();
        scene.record.tell(Told::Mark);
        other.join().unwrap();
        assert_eq!(scene.record.get().last(), Some(&Told::Mark));
        scene.check(1, &[5], false);
    });
}

#[test]
fn a_locked_frame_stays_while_it_is_replaced_and_all_tiles_show_it() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let (first, second) = (canvas.present(1, 2, 1), canvas.present(2, 2, 2));
        canvas.complete(first);
        let generation = scene.last_generation();
        let poller = canvas.clone();
        let poller = thread::spawn(move || {
            poller.complete(second);
            poller.reuse();
        });
        let mut images = ExternalImages::new(&scene.map);
        let tiles = [0; 2].map(|_| read(&mut images, 1, Some(generation)));
        assert!(tiles == [Some(1); 2] || tiles == [Some(2); 2], "{tiles:?}");
        poller.join().unwrap();
        assert_eq!(read(&mut images, 1, None), Some(2));
        canvas.reuse();
        assert_eq!(read(&mut images, 1, None), Some(2));
    });
}

#[test]
fn a_locked_frame_stays_while_its_context_ends() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let (first, second) = (canvas.present(1, 2, 1), canvas.present(2, 2, 2));
        canvas.complete(first);
        let generation = scene.last_generation();
        let (other, map) = (canvas.clone(), scene.map.clone());
        let presenter = thread::spawn(move || {
            other.complete(second);
            map.destroy(&other.context);
            other.reuse();
            other.recycler.close();
        });
        let mut images = ExternalImages::new(&scene.map);
        let byte = read(&mut images, 1, Some(generation));
        assert!([None, Some(1), Some(2)].contains(&byte), "{byte:?}");
        presenter.join().unwrap();
        assert_eq!(read(&mut images, 1, Some(generation)), None);
        scene.check(1, &[1, 2], true);
    });
}

#[test]
fn all_contexts_of_an_owner_end_at_once_for_a_renderer() {
    explore(|| {
        let scene = Scene::new();
        let canvases = [scene.canvas(1), scene.canvas(2)];
        let late = canvases[0].present(1, 2, 5);
        let map = scene.map.clone();
        let ends = thread::spawn(move || assert_eq!(map.destroy_owner(OWNER), 2));
        let poller = canvases[0].clone();
        let poller = thread::spawn(move || poller.complete(late));
        let mut images = ExternalImages::new(&scene.map);
        let ended = [1, 2, 1].map(|id| read(&mut images, id, None).is_none());
        assert!(ended.is_sorted(), "one ended before the other: {ended:?}");
        ends.join().unwrap();
        poller.join().unwrap();
        assert_eq!((read(&mut images, 1, None), read(&mut images, 2, None)), (None, None));
        scene.check(1, &[5], true);
        scene.check(2, &[], true);
    });
}

/// Whatever the compositor does first.
#[test]
fn a_context_that_lingers_ends_once_its_transaction_is_done() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let (first, second) = (canvas.present(1, 2, 5), canvas.present(2, 2, 9));
        canvas.complete(first);
        let poller = canvas.clone();
        let poller = thread::spawn(move || poller.complete(second));
        let map = scene.map.clone();
        let compositor = thread::spawn(move || {
            let byte = read(&mut ExternalImages::new(&map), 1, None);
            assert!([None, Some(1), Some(2)].contains(&byte), "{byte:?}");
            map.transaction_done(NAMESPACE, TransactionId(7));
        });
        assert!(scene.map.destroy_after(&canvas.context, &canvas.recycler, TransactionId(7)));
        scene.outbox.drain();
        poller.join().unwrap();
        compositor.join().unwrap();
        scene.check(1, &[5, 9], true);
        assert_eq!(read(&mut ExternalImages::new(&scene.map), 1, None), None);
    });
}

/// The third large layout is held back until a renderer locks; then a thread of its own tells of it.
#[test]
fn what_was_held_back_is_told_in_order() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        for (height, epoch) in [(2, 1), (3, 2), (4, 3)] {
            let ticket = canvas.present(height as u8, height, epoch);
            canvas.complete(ticket);
        }
        let last = canvas.present(5, 4, 4);
        let poller = canvas.clone();
        let poller = thread::spawn(move || poller.complete(last));
        let mut images = ExternalImages::new(&scene.map);
        assert_eq!(read(&mut images, 1, None), Some(3));
        poller.join().unwrap();
        scene.outbox.finish();
        scene.check(1, &[1, 2, 3, 4], false);
        assert_eq!(read(&mut images, 1, None), Some(5));
    });
}
