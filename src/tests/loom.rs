//! Pollers, a renderer, the WebGPU thread and a thread that ends contexts, at the same time. Loom runs each
//! test once for every order in which these threads can take the locks of [`sync`](crate::sync).
//!
//! The tests have no GPU and no presenter. A present is a buffer whose copy is done already, and a poller is
//! a thread that completes it. Returned buffers are overwritten, which shows whether a locked frame stays as
//! it is.
//!
//! `cargo xtask test --only loom` builds and runs them. By hand, this command builds the test program, whose
//! tests with `tests::loom` in their names are to be run:
//!
//! ```text
//! cargo rustc --lib --profile test --features webrender -- --cfg loom
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
use crate::gpu::fake;
use crate::staging::Recycler;
use crate::staging::testing::{mapping_buffer, overwrite_returned};
use crate::sync::{Mutex, rank};
use crate::{
    AlphaMode, CanvasEpoch, ContextId, ContextMap, ExternalImages, ImageSink, OwnerId, PresentError,
    TransactionId,
};

/// How often loom may switch from a thread that could go on. (It may switch any number of times where a
/// thread waits.) Four preemptions found nothing that two do not find, and took fifty times as long. The
/// environment variable `LOOM_MAX_PREEMPTIONS` sets another number.
const PREEMPTIONS: usize = 2;

const OWNER: OwnerId = OwnerId(1);

const NAMESPACE: IdNamespace = IdNamespace(1);

/// Runs `scenario` once for every order of its threads.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(PREEMPTIONS));
    model.check(scenario);
}

/// One call that reached the compositor or the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Add(ImageKey),
    /// An update of an image: its generation, and the epoch that it acknowledges.
    Update(ImageKey, u8, u64),
    Delete(ImageKey),
    /// The outcome of the present with this epoch.
    Outcome(ContextId, u64),
    /// Pushed by a test, to say when.
    Mark,
}

/// The events so far, in order. It has a lock that loom explores, so other threads may run between two
/// events.
#[derive(Clone, Default)]
struct EventLog(Arc<Mutex<rank::Leaf, Vec<Event>>>);

impl EventLog {
    fn push(&self, event: Event) {
        self.0.lock().push(event);
    }

    fn get(&self) -> Vec<Event> {
        self.0.lock().clone()
    }
}

impl ImageSink for EventLog {
    fn add_image(&mut self, key: ImageKey, _: ImageDescriptor, _: ExternalImageData) {
        self.push(Event::Add(key));
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        _: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        self.push(Event::Update(key, data.channel_index, epoch.0));
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.push(Event::Delete(key));
    }
}

/// What a presenter shares with other threads.
struct Scene {
    map: ContextMap,
    outbox: Arc<Outbox>,
    log: EventLog,
}

/// A context, and the recycler that its buffers return to.
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
        let log = EventLog::default();
        let outcomes = log.clone();
        let outbox = Outbox::new(Recipients {
            sink: Box::new(log.clone()),
            on_outcome: Box::new(move |outcome| {
                outcomes.push(Event::Outcome(outcome.context, outcome.epoch.0))
            }),
            on_id: Box::new(|_| ()),
            wake: Arc::new(|| ()),
        });
        Self { map: ContextMap::default(), outbox: Arc::new(outbox), log }
    }

    /// Makes a context that has an image key. The compositor was told of it when this returns.
    fn canvas(&self, id: u64) -> Canvas {
        let (outbox, map) = (self.outbox.clone(), self.map.clone());
        let (fallback, waiters) = (map.fallback(), map.waiters());
        let make = |generations| {
            let size = Size2D::new(4, 2);
            Arc::new(ContextData::new(ContextId(id), OWNER, size, generations, outbox, fallback, waiters))
        };
        let context = map.insert(ContextId(id), make).unwrap();
        context.set_key(self.map.claim(key(id), &context).unwrap());
        self.outbox.drain();
        Canvas { context, recycler: Arc::default() }
    }

    /// Returns the generation of the newest image update.
    fn last_generation(&self) -> u8 {
        let update = |event: &Event| match event {
            Event::Update(_, generation, _) => Some(*generation),
            _ => None,
        };
        self.log.get().iter().rev().find_map(update).unwrap()
    }

    /// Checks all events of one context, once its threads have ended. `epochs` are those of its presents,
    /// `ended` says whether it was destroyed.
    ///
    /// - The image is added first. It is deleted once, and last, if the context was destroyed.
    /// - Acknowledged epochs never decrease.
    /// - Each present has one outcome, and before that its epoch or a later one was acknowledged.
    fn check(&self, id: u64, epochs: &[u64], ended: bool) {
        let events = self.log.get();
        let (its, context) = (key(id), ContextId(id));
        let images = |event: &&Event| match event {
            Event::Add(key) | Event::Update(key, ..) | Event::Delete(key) => *key == its,
            Event::Outcome(..) | Event::Mark => false,
        };
        let images: Vec<_> = events.iter().filter(images).copied().collect();
        assert_eq!(images[0], Event::Add(its));
        let deletes = images.iter().filter(|event| matches!(event, Event::Delete(_))).count();
        assert_eq!(deletes, usize::from(ended), "{events:?}");
        if ended {
            assert_eq!(*images.last().unwrap(), Event::Delete(its), "{events:?}");
        }
        let acknowledged = images.iter().filter_map(|event| match event {
            Event::Update(_, _, epoch) => Some(*epoch),
            _ => None,
        });
        assert!(acknowledged.is_sorted(), "{events:?}");
        for epoch in epochs {
            let outcome = Event::Outcome(context, *epoch);
            assert_eq!(events.iter().filter(|event| **event == outcome).count(), 1, "{events:?}");
            let until = events.iter().position(|event| *event == outcome).unwrap();
            let satisfies = |event: &Event| matches!(event, Event::Update(key, _, its) if *key == self::key(id) && its >= epoch);
            assert!(events[..until].iter().any(satisfies), "{epoch} is acknowledged first: {events:?}");
        }
    }
}

impl Canvas {
    /// Presents a frame whose bytes all are `byte`, up to the point where its copy is done. Returns the
    /// number of its ticket.
    fn present(&self, byte: u8, height: u32, epoch: u64) -> u64 {
        let present = self.context.begin(CanvasEpoch(epoch), AlphaMode::Premultiplied).unwrap();
        let layout = layout(height);
        let buffer = mapping_buffer(&self.recycler, &vec![byte; layout.byte_len()]);
        let ticket = self.context.ask(Purpose::Present(present), layout, None);
        self.context.submitted(ticket, buffer, None);
        ticket
    }

    /// Does what a poller does when the submission of a ticket is done.
    fn complete(&self, ticket: u64) {
        self.context.complete(ticket, &fake::completed());
        self.context.outbox().drain();
    }

    /// Does what a poller does when the device is lost.
    fn fail(&self, ticket: u64) {
        self.context.fail(ticket, &PresentError::DeviceLost);
        self.context.outbox().drain();
    }

    /// Does what the ring and the GPU do with returned memory: writes other bytes to it.
    fn reuse(&self) {
        overwrite_returned(&self.recycler, 0xEE);
    }
}

/// What [`read`] finds in an image whose context has ended.
const BLANK: Option<u8> = Some(0);

/// Locks an image, reads it twice, unlocks it and returns the byte that all its bytes are, or `None` if it
/// cannot be locked.
fn read(images: &mut ExternalImages, id: u64, generation: Option<u8>) -> Option<u8> {
    let ExternalImageSource::RawData(bytes) = images.lock(ContextId(id).into(), generation) else {
        return None;
    };
    let byte = bytes[0];
    let whole = |bytes: &[u8]| bytes.iter().all(|other| *other == byte);
    assert!(whole(bytes));
    thread::yield_now();
    assert!(whole(bytes), "a locked frame changes");
    images.unlock(ContextId(id).into(), generation);
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

// A presenter that is dropped relies on this: nothing may reach the engine afterwards, and the sink is dropped.
#[test]
fn closing_waits_for_the_thread_that_is_telling() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let ticket = canvas.present(1, 2, 5);
        canvas.context.complete(ticket, &fake::completed());
        let outbox = scene.outbox.clone();
        let other = thread::spawn(move || outbox.drain());
        scene.outbox.close();
        // The sink and the callback for outcomes are gone. The scene has the last clone of the log.
        assert_eq!(Arc::strong_count(&scene.log.0), 1);
        scene.log.push(Event::Mark);
        other.join().unwrap();
        canvas.present(2, 2, 6);
        canvas.fail(ticket + 1);
        assert_eq!(scene.log.get().last(), Some(&Event::Mark));
        scene.check(1, &[5], false);
    });
}

// `set_image_key` relies on this: the sink has been told when it returns.
#[test]
fn finishing_waits_for_the_thread_that_is_telling() {
    explore(|| {
        let scene = Scene::new();
        let canvas = scene.canvas(1);
        let ticket = canvas.present(1, 2, 5);
        canvas.context.complete(ticket, &fake::completed());
        let outbox = scene.outbox.clone();
        let other = thread::spawn(move || outbox.drain());
        scene.outbox.finish();
        scene.log.push(Event::Mark);
        other.join().unwrap();
        assert_eq!(scene.log.get().last(), Some(&Event::Mark));
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
        assert!([BLANK, Some(1), Some(2)].contains(&byte), "{byte:?}");
        presenter.join().unwrap();
        assert_eq!(read(&mut images, 1, Some(generation)), BLANK);
        scene.check(1, &[1, 2], true);
    });
}

#[test]
fn all_contexts_of_an_owner_end_at_once_for_a_renderer() {
    explore(|| {
        let scene = Scene::new();
        let canvases = [scene.canvas(1), scene.canvas(2)];
        for canvas in &canvases {
            canvas.complete(canvas.present(1, 2, 4));
        }
        let late = canvases[0].present(2, 2, 5);
        let map = scene.map.clone();
        let ends = thread::spawn(move || assert_eq!(map.destroy_owner(OWNER), 2));
        let mut images = ExternalImages::new(&scene.map);
        let ended = [1, 2, 1].map(|id| read(&mut images, id, None) == BLANK);
        assert!(ended.is_sorted(), "one ended before the other: {ended:?}");
        ends.join().unwrap();
        canvases[0].complete(late);
        assert_eq!([1, 2].map(|id| read(&mut images, id, None)), [BLANK; 2]);
        scene.check(1, &[4, 5], true);
        scene.check(2, &[4], true);
    });
}

// The transaction may be done before the context is destroyed, or after.
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
            assert!([Some(1), Some(2)].contains(&byte), "{byte:?}");
            map.transaction_done(NAMESPACE, TransactionId(7));
        });
        assert!(scene.map.destroy_after(&canvas.context, &canvas.recycler, TransactionId(7)));
        scene.outbox.drain();
        poller.join().unwrap();
        compositor.join().unwrap();
        scene.check(1, &[5, 9], true);
        assert_eq!(read(&mut ExternalImages::new(&scene.map), 1, None), BLANK);
    });
}

// A renderer locks a canvas whose size has changed three times, while a poller completes the next frame.
#[test]
fn a_lock_gets_the_newest_frame_while_the_next_one_is_completed() {
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
        let shown = read(&mut images, 1, None);
        assert!(shown == Some(4) || shown == Some(5), "{shown:?}");
        poller.join().unwrap();
        scene.outbox.finish();
        scene.check(1, &[1, 2, 3, 4], false);
        assert_eq!(read(&mut images, 1, None), Some(5));
    });
}
