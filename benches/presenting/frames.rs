//! Frames that are copied to host memory, and direct frames, which are not: from `present` to the last image update, and the whole frame
//! from the creation of the textures on. Two floors of raw wgpu-core on one thread stand beside them: a copy to a buffer that the CPU can map,
//! and a submission of nothing.

use criterion::Criterion;
use euclid::default::Size2D;
use webgpu_presentation::{AlphaMode, ContextId, FrameMemoryKind};

use crate::world::{OWNER, Painting, Textures, World};
use crate::{TEST, group, measure};

pub fn benchmarks(criterion: &mut Criterion) {
    let pages: &[(u64, u32, u32)] = if TEST {
        &[(1, 64, 64), (3, 192, 108)]
    } else {
        &[(1, 256, 256), (1, 1920, 1080), (1, 3840, 2160), (100, 256, 256)]
    };
    for &(count, width, height) in pages {
        let mut group = group(criterion, &format!("frames/{count} of {width}x{height}"));
        let size = Size2D::new(width, height);
        let mut gallery = Gallery::new(count, size);
        let Gallery { world, painting, .. } = &mut gallery;
        let buffers = world.host_buffers(size, count);
        let drawn = world.draw(*painting, count);
        group.bench_function("floor: nothing", |bencher| measure(bencher, || world.submit_nothing()));
        group.bench_function("floor: copy", |bencher| {
            measure(bencher, || world.copy_to_host(&drawn, &buffers));
        });
        group.bench_function("copied", |bencher| {
            measure(bencher, || {
                let textures = world.draw(*painting, count);
                world.present((0..).map(ContextId).zip(textures))
            });
        });
        group.bench_function("direct", |bencher| {
            measure(bencher, || {
                let textures = world.draw_direct(*painting, count);
                world.present((0..).map(ContextId).zip(textures))
            });
        });
        for (name, textures) in
            [("whole frame, copied", Textures::Ordinary), ("whole frame, direct", Textures::Canvas)]
        {
            group.bench_function(name, |bencher| {
                measure(bencher, || world.whole_frame(*painting, count, textures));
            });
        }
        let report = world.presenter.memory_report();
        let bytes: usize = report.iter().map(|report| report.bytes).sum();
        let images = bytes as f64 / (f64::from(size.area()) * 4.0 * count as f64);
        eprintln!("memory after direct frames: {bytes} bytes, {images:.2} images for each canvas");
        group.finish();
    }
}

struct Gallery {
    world: World,
    painting: Painting,
}

impl Gallery {
    fn new(count: u64, size: Size2D<u32>) -> Self {
        let mut world = World::new(FrameMemoryKind::Owned, count);
        (0..count).for_each(|id| world.canvas(ContextId(id), OWNER));
        let painting = world.painting(size, AlphaMode::Premultiplied);
        world.show((0..count).map(|id| (ContextId(id), painting.texture())));
        Self { world, painting }
    }
}
