//! What a renderer's thread pays for each image while the WebGPU thread presents to all canvases, over and over. Each operation is
//! timed by itself, which takes some 50 ns, so there are quantiles too.

use std::hint::black_box;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::Criterion;
use euclid::default::Size2D;
use webgpu_presentation::{AlphaMode, ContextId, ExternalImages, FrameMemoryKind};
use webrender_api::ExternalImageSource;

use crate::world::{OWNER, Painting, World};
use crate::{TEST, group};

pub fn benchmarks(criterion: &mut Criterion) {
    let pages: &[(u64, u32)] = if TEST { &[(1, 64), (10, 64)] } else { &[(1, 64), (1, 1024), (1_000, 64)] };
    let mut group = group(criterion, "lock and unlock under load");
    for &(count, side) in pages {
        let mut page = None;
        let mut each = Vec::new();
        group.bench_function(format!("{count} of {side}x{side}"), |bencher| {
            let page = page.get_or_insert_with(|| Page::new(count, side));
            bencher.iter_custom(|times| {
                let took = page.locks(times);
                each.extend_from_slice(&took);
                took.iter().sum()
            });
        });
        if !TEST {
            tell(&mut each);
        }
    }
    group.finish();
}

/// Canvases that are presented to.
struct Page {
    world: World,
    painting: Painting,
}

impl Page {
    fn new(count: u64, side: u32) -> Self {
        let mut world = World::new(FrameMemoryKind::Owned, count);
        (0..count).for_each(|id| world.canvas(ContextId(id), OWNER));
        let painting = world.painting(Size2D::splat(side), AlphaMode::Premultiplied);
        Self { world, painting }
    }

    /// Presents to all canvases until a renderer has locked so many images, one canvas after the other.
    fn locks(&mut self, times: u64) -> Vec<Duration> {
        self.present();
        let generations = self.world.generations.clone();
        let images = ExternalImages::new(&self.world.map);
        thread::scope(|scope| {
            let renderer = scope.spawn(|| render(images, &generations, times));
            while !renderer.is_finished() {
                self.present();
            }
            renderer.join().expect("a renderer does not panic")
        })
    }

    fn present(&mut self) {
        self.world.maintain_if_asked();
        let canvases = (0..self.world.generations.len() as u64).map(ContextId);
        let texture = self.painting.texture();
        self.world.show(canvases.map(|id| (id, texture)));
    }
}

/// How long each lock took, with its unlock.
fn render(mut images: ExternalImages, generations: &[AtomicU8], times: u64) -> Vec<Duration> {
    let canvases = (0..).zip(generations).cycle().take(times as usize);
    canvases
        .map(|(id, generation)| {
            let id = ContextId(id).into();
            let generation = generation.load(Ordering::Relaxed);
            let began = Instant::now();
            let source = images.lock(id, Some(generation));
            assert!(matches!(black_box(source), ExternalImageSource::RawData(_)), "it lives");
            images.unlock(id, Some(generation));
            began.elapsed()
        })
        .collect()
}

fn tell(each: &mut [Duration]) {
    each.sort_unstable();
    let quantile = |percent: usize| each.get(each.len() * percent / 100);
    if let (Some(median), Some(most)) = (quantile(50), quantile(99)) {
        eprintln!("each by itself: median {median:?}, 99 % within {most:?}");
    }
}
