//! `get_image` of a full-screen canvas, and the bytes of its answer.

use criterion::{Criterion, Throughput};
use euclid::default::Size2D;
use webgpu_presentation::{
    AlphaEncoding, AlphaMode, ContextId, FrameMemoryKind, PixelEncoding, PixelFormat, PredefinedColorSpace,
};

use crate::world::{OWNER, Painting, World};
use crate::{TEST, group, measure};

const CANVAS: ContextId = ContextId(0);

/// What the canvas consists of.
const AS_IT_IS: PixelEncoding = PixelEncoding {
    format: PixelFormat::Bgra8,
    color_space: PredefinedColorSpace::Srgb,
    alpha: AlphaEncoding::Premultiplied,
};

pub fn benchmarks(criterion: &mut Criterion) {
    // Noise: the frames of the opaque canvas have to be made opaque.
    for alpha_mode in [AlphaMode::Premultiplied, AlphaMode::Opaque] {
        images(criterion, alpha_mode);
        bytes(criterion, alpha_mode);
    }
}

/// Until it is answered: of what is shown at once, of a texture by a device's poller.
fn images(criterion: &mut Criterion, alpha_mode: AlphaMode) {
    let mut group = group(criterion, &format!("get_image/{alpha_mode:?}"));
    let mut prepared = None;
    group.bench_function("of what is shown", |bencher| {
        let (world, _) = prepared.get_or_insert_with(|| shown(alpha_mode));
        measure(bencher, || world.image(CANVAS, None).0);
    });
    group.bench_function("of a texture", |bencher| {
        let (world, painting) = prepared.get_or_insert_with(|| shown(alpha_mode));
        measure(bencher, || {
            world.maintain_if_asked();
            world.image(CANVAS, Some(painting.texture())).0
        });
    });
    group.finish();
}

/// On the thread of who asks for them.
fn bytes(criterion: &mut Criterion, alpha_mode: AlphaMode) {
    let mut group = group(criterion, &format!("snapshot/{alpha_mode:?}"));
    let size = size();
    let stride = size.width as usize * 4;
    let len = stride * size.height as usize;
    group.throughput(Throughput::Bytes(len as u64));
    let mut snapshot = None;
    let mut take = || {
        let take = || shown(alpha_mode).0.image(CANVAS, None).1;
        snapshot.get_or_insert_with(take).clone()
    };
    group.bench_function("to_vec", |bencher| {
        let snapshot = take();
        bencher.iter_with_large_drop(|| snapshot.to_vec());
    });
    group.bench_function("copy_into", |bencher| {
        let snapshot = take();
        let mut into = vec![0; len];
        bencher.iter(|| snapshot.copy_into(&mut into, stride, AS_IT_IS).expect("there is room"));
    });
    group.bench_function("to_straight_rgba", |bencher| {
        let snapshot = take();
        bencher.iter_with_large_drop(|| snapshot.to_straight_rgba());
    });
    group.finish();
}

fn shown(alpha_mode: AlphaMode) -> (World, Painting) {
    let mut world = World::new(FrameMemoryKind::Owned, 1);
    world.canvas(CANVAS, OWNER);
    let painting = world.painting(size(), alpha_mode);
    world.show([(CANVAS, painting.texture())]);
    (world, painting)
}

fn size() -> Size2D<u32> {
    if TEST { Size2D::new(192, 108) } else { Size2D::new(1920, 1080) }
}
