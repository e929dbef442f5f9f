//! From `present` to the image update that shows it. The texture was drawn before, and is destroyed after its present.

use criterion::{BenchmarkId, Criterion, Throughput};
use euclid::default::Size2D;
use webgpu_presentation::{AlphaMode, ContextId, FrameMemoryKind};

use crate::world::{OWNER, Painting, World};
use crate::{TEST, group, measure};

const CANVAS: ContextId = ContextId(0);

pub fn benchmarks(criterion: &mut Criterion) {
    sizes(criterion, FrameMemoryKind::Owned);
    sizes(criterion, FrameMemoryKind::Portable);
    batches(criterion);
    resizing(criterion);
}

/// One canvas.
fn sizes(criterion: &mut Criterion, memory: FrameMemoryKind) {
    let sizes: &[(u32, u32)] = if TEST {
        &[(64, 64), (192, 108)]
    } else {
        &[(64, 64), (256, 256), (1024, 1024), (1920, 1080), (3840, 2160)]
    };
    let mut group = group(criterion, &format!("present/{memory:?}"));
    for &(width, height) in sizes {
        let mut gallery = None;
        group.bench_function(format!("{width}x{height}"), |bencher| {
            let gallery = gallery.get_or_insert_with(|| Gallery::new(memory, 1, Size2D::new(width, height)));
            measure(bencher, || gallery.frame());
        });
    }
    group.finish();
}

/// All canvases of a page in one batch.
fn batches(criterion: &mut Criterion) {
    let pages: &[(u64, u32)] =
        if TEST { &[(1, 64), (20, 64)] } else { &[(1, 64), (10, 64), (100, 64), (1_000, 64), (100, 256)] };
    let mut group = group(criterion, "batch");
    for &(count, side) in pages {
        group.throughput(Throughput::Elements(count));
        let mut gallery = None;
        group.bench_function(BenchmarkId::new(format!("{side}x{side}"), count), |bencher| {
            let gallery = gallery
                .get_or_insert_with(|| Gallery::new(FrameMemoryKind::Owned, count, Size2D::splat(side)));
            measure(bencher, || gallery.frame());
        });
    }
    group.finish();
}

/// A canvas that grows by one pixel each way in each frame, against one that stays as large as that is on average. (All have
/// rows of the same stride.)
fn resizing(criterion: &mut Criterion) {
    const SIDES: std::ops::Range<u32> = 257..if TEST { 260 } else { 320 };
    let mut group = group(criterion, "resize");
    let mut gallery = None;
    group.bench_function("never", |bencher| {
        let gallery =
            gallery.get_or_insert_with(|| Gallery::new(FrameMemoryKind::Owned, 1, Size2D::splat(288)));
        measure(bencher, || gallery.frame());
    });
    let mut gallery = None;
    group.bench_function("each frame", |bencher| {
        let (gallery, larger) = gallery.get_or_insert_with(|| {
            let gallery = Gallery::new(FrameMemoryKind::Owned, 1, Size2D::splat(SIDES.start));
            let painting = |side| gallery.world.painting(Size2D::splat(side), AlphaMode::Premultiplied);
            let larger: Vec<_> = SIDES.skip(1).map(painting).collect();
            (gallery, larger.into_iter().cycle())
        });
        let smallest = gallery.painting;
        measure(bencher, || {
            let painting = larger.next().expect("there is always a next one");
            if painting.size().width == SIDES.start + 1 {
                // Nothing is left of those that were larger.
                gallery.world.presenter.destroy_context(CANVAS).expect("it exists");
                gallery.world.canvas(CANVAS, OWNER);
                gallery.world.show([(CANVAS, smallest.texture())]);
            }
            let textures = gallery.world.draw(painting, 1);
            gallery.world.present([(CANVAS, textures[0])])
        });
    });
    group.finish();
}

/// Canvases that have been presented to, and what to draw into them.
struct Gallery {
    world: World,
    painting: Painting,
    count: u64,
}

impl Gallery {
    fn new(memory: FrameMemoryKind, count: u64, size: Size2D<u32>) -> Self {
        let mut world = World::new(memory, count);
        (0..count).for_each(|id| world.canvas(ContextId(id), OWNER));
        let painting = world.painting(size, AlphaMode::Premultiplied);
        world.show((0..count).map(|id| (ContextId(id), painting.texture())));
        Self { world, painting, count }
    }

    /// Presents to all of them.
    fn frame(&mut self) -> std::time::Duration {
        let textures = self.world.draw(self.painting, self.count);
        self.world.present((0..).map(ContextId).zip(textures))
    }
}
