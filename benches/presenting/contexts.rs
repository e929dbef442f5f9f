//! What an operation of one canvas costs while so many others are shown: it should not matter how many.
//!
//! Each is timed by itself, which takes some 50 ns.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use euclid::default::Size2D;
use webgpu_presentation::{AlphaMode, ContextId, ExternalImages, FrameMemoryKind, OwnerId};
use webrender_api::ExternalImageSource;

use crate::world::{OWNER, Painting, World};
use crate::{TEST, group, measure};

const OTHERS: [u64; 3] = if TEST { [1, 10, 20] } else { [1, 100, 10_000] };

/// The canvas that is looked at. The others follow, then those that come and go.
const CANVAS: ContextId = ContextId(0);

/// Whose those are that come and go.
const GUESTS: OwnerId = OwnerId(1);

/// Says how long it took.
type Operation = fn(&mut Crowd) -> Duration;

const OPERATIONS: [(&str, Operation); 7] = [
    ("present", Crowd::present),
    ("get_image", Crowd::get_image),
    ("lock and unlock", Crowd::lock),
    ("create and destroy", Crowd::create_and_destroy),
    ("Presenter::destroy_owner", Crowd::destroy_owner),
    ("ContextMap::destroy_owner", Crowd::destroy_owner_of_map),
    ("maintain", Crowd::maintain),
];

pub fn benchmarks(criterion: &mut Criterion) {
    let mut group = group(criterion, "contexts");
    for others in OTHERS {
        let mut crowd = None;
        for (name, operation) in OPERATIONS {
            group.bench_function(BenchmarkId::new(name, others), |bencher| {
                let crowd = crowd.get_or_insert_with(|| Crowd::new(others));
                measure(bencher, || operation(crowd));
            });
        }
    }
    group.finish();
}

/// Canvases that have all been presented to.
struct Crowd {
    world: World,
    images: ExternalImages,
    painting: Painting,
    /// An engine does not use an id again soon.
    next_guest: u64,
}

impl Crowd {
    fn new(others: u64) -> Self {
        let mut world = World::new(FrameMemoryKind::Owned, 1 + others);
        let pixel = world.painting(Size2D::new(1, 1), AlphaMode::Premultiplied);
        let canvases: Vec<_> = (1..=others).map(ContextId).collect();
        canvases.iter().for_each(|id| world.canvas(*id, OWNER));
        for page in canvases.chunks(1_000) {
            world.show(page.iter().map(|id| (*id, pixel.texture())));
        }
        world.canvas(CANVAS, OWNER);
        let painting = world.painting(Size2D::new(64, 64), AlphaMode::Premultiplied);
        world.show([(CANVAS, painting.texture())]);
        let images = ExternalImages::new(&world.map);
        let mut crowd = Self { world, images, painting, next_guest: 1 + others };
        // The map remembers many of those that are gone: no fewer, from now on.
        for _ in 0..if TEST { 10 } else { 2_000 } {
            crowd.create_and_destroy();
        }
        crowd
    }

    fn present(&mut self) -> Duration {
        let textures = self.world.draw(self.painting, 1);
        self.world.present([(CANVAS, textures[0])])
    }

    fn get_image(&mut self) -> Duration {
        self.world.image(CANVAS, None).0
    }

    fn lock(&mut self) -> Duration {
        let generation = self.world.generation(CANVAS);
        let id = CANVAS.into();
        timed(|| {
            let source = self.images.lock(id, Some(generation));
            assert!(matches!(black_box(source), ExternalImageSource::RawData(_)), "it lives");
            self.images.unlock(id, Some(generation));
        })
    }

    fn create_and_destroy(&mut self) -> Duration {
        timed(|| {
            let guest = self.guest();
            self.world.presenter.destroy_context(guest).expect("it was created");
        })
    }

    fn destroy_owner(&mut self) -> Duration {
        self.guest();
        timed(|| assert_eq!(self.world.presenter.destroy_owner(GUESTS), 1))
    }

    /// As any thread does it.
    fn destroy_owner_of_map(&mut self) -> Duration {
        let guest = self.guest();
        let took = timed(|| assert_eq!(self.world.map.destroy_owner(GUESTS), 1));
        // The presenter has not met it yet.
        assert!(self.world.presenter.destroy_context(guest).is_err());
        took
    }

    fn maintain(&mut self) -> Duration {
        timed(|| self.world.presenter.maintain())
    }

    /// Creates a canvas that was never there before.
    fn guest(&mut self) -> ContextId {
        let guest = ContextId(self.next_guest);
        self.next_guest += 1;
        self.world.canvas(guest, GUESTS);
        guest
    }
}

fn timed(operation: impl FnOnce()) -> Duration {
    let began = Instant::now();
    operation();
    began.elapsed()
}
