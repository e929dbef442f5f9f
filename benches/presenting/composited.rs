//! From the creation of a canvas texture to the composited page, WebRender's part included, on the GL of the driver (EGL): read back, shared and
//! direct. The page shows one canvas, which fills it.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use criterion::Criterion;
use euclid::default::Size2D;
use webgpu_presentation::*;
use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::resource::{TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;
use wgpu_types::TextureUsages;

use crate::gpu::{Device, Gpu, extent};
use crate::page::{Item, Page, PageGl, rect};
use crate::{TEST, group, measure};

const CANVAS: ContextId = ContextId(0);
const TIMEOUT: Duration = Duration::from_secs(30);
/// The first frames may be copied, because the renderer has not said yet what it can sample.
const WARM_UP: u64 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Copied,
    Shared,
    Direct,
}

pub fn benchmarks(criterion: &mut Criterion) {
    let sizes: &[(u32, u32)] = if TEST { &[(64, 48)] } else { &[(256, 256), (1920, 1080), (3840, 2160)] };
    let kinds = [Kind::Copied, Kind::Shared, Kind::Direct].into_iter().filter(|kind| {
        let is_possible = Stage::warm(*kind, (64, 48)).count() > 0;
        if !is_possible {
            eprintln!("SKIPPED: {kind:?} composited frames, there are none on this adapter and this GL");
        }
        is_possible
    });
    let kinds: Vec<_> = kinds.collect();
    for &(width, height) in sizes {
        let mut group = group(criterion, &format!("composited/{width}x{height}"));
        for &kind in &kinds {
            let mut stage = None;
            group.bench_function(format!("{kind:?}"), |bencher| {
                let stage = stage.get_or_insert_with(|| Stage::warm(kind, (width, height)));
                measure(bencher, || stage.frame());
            });
            if let Some(stage) = stage {
                let (count, all) = (stage.count(), stage.epoch);
                eprintln!("{kind:?}: {count} of {all} frames");
                assert!(count + WARM_UP >= all, "{count} of {all} frames are {kind:?}");
                let of_a_frame = |time: Duration| time.as_secs_f64() * 1e3 / stage.epoch as f64;
                eprintln!(
                    "a frame: {:.2} ms until its present ended, {:.2} ms in WebRender; {:.2} images of memory at most",
                    of_a_frame(stage.presenting),
                    of_a_frame(stage.compositing),
                    stage.most_memory as f64 / (f64::from(stage.size.area()) * 4.0),
                );
            }
        }
        group.finish();
    }
}

struct Stage {
    // The presenter sends images to the page until it is dropped.
    presenter: Presenter,
    page: Page,
    outcomes: Receiver<PresentOutcome>,
    kind: Kind,
    size: Size2D<u32>,
    device: Device,
    epoch: u64,
    /// The time of all frames until their presents ended.
    presenting: Duration,
    /// The time of all frames after their presents ended.
    compositing: Duration,
    /// The most bytes that the canvas held after a present.
    most_memory: usize,
    gpu: Gpu,
}

impl Stage {
    /// A stage whose first frames are drawn already.
    fn warm(kind: Kind, size: (u32, u32)) -> Self {
        let mut stage = Self::new(kind, size);
        for _ in 0..WARM_UP {
            stage.frame();
        }
        stage
    }

    /// Returns how many frames were of the kind that is measured.
    fn count(&self) -> u64 {
        let Statistics { copied, shared, direct, .. } = self.presenter.statistics(CANVAS).expect("it exists");
        match self.kind {
            Kind::Copied => copied,
            Kind::Shared => shared,
            Kind::Direct => direct,
        }
    }

    fn new(kind: Kind, size: (u32, u32)) -> Self {
        let gpu = Gpu::new(wgt::InstanceFlags::empty()).expect("the adapter is still there");
        let device = gpu.device();
        let map = ContextMap::default();
        let page = Page::with_loader(PageGl::Egl, size, |load| match kind {
            Kind::Shared => {
                // SAFETY: these are the functions of the page's GL, which is current whenever its renderer is called.
                let images = unsafe { ExternalImages::with_gl(&map, load) };
                Box::new(images.unwrap_or_else(|error| {
                    eprintln!("no frame can be shared: {error}");
                    ExternalImages::new(&map)
                }))
            }
            Kind::Copied | Kind::Direct => Box::new(ExternalImages::new(&map)),
        });
        let mut page = page.expect("WebRender starts");
        let sink = WebRenderSink::new(page.new_api(), page.document());
        let (told, outcomes) = channel();
        let options = PresenterOptions {
            on_outcome: Box::new(move |outcome| drop(told.send(outcome))),
            ..PresenterOptions::default()
        };
        // SAFETY: only the presenter names its staging buffers.
        let mut presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink, options) };
        let untyped = Size2D::new(size.0, size.1);
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: untyped, buffer_ids: BufferIds::Allocated };
        presenter.create_context(CANVAS, descriptor).expect("the id is free");
        let key = page.new_key();
        presenter.set_image_key(CANVAS, key).expect("it was created");
        page.set_scene(&[Item::Image(rect(0.0, 0.0, size.0 as f32, size.1 as f32), key)]);
        Self {
            presenter,
            page,
            outcomes,
            kind,
            size: untyped,
            device,
            epoch: 0,
            presenting: Duration::ZERO,
            compositing: Duration::ZERO,
            most_memory: 0,
            gpu,
        }
    }

    fn frame(&mut self) -> Duration {
        self.epoch += 1;
        let began = Instant::now();
        let configuration = self.device.configuration(self.size);
        let descriptor = TextureDescriptor {
            label: None,
            size: extent(self.size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format: configuration.format,
            usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC,
            view_formats: vec![],
        };
        let (texture_id, _) = match self.kind {
            Kind::Direct => self.presenter.create_canvas_texture(CANVAS, &configuration, &descriptor, None),
            Kind::Copied | Kind::Shared => {
                self.gpu.global.device_create_texture(self.device.id, &descriptor, None)
            }
        };
        self.draw(texture_id);
        let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
        let mut batch = self.presenter.batch();
        batch.present(CANVAS, Contents::Texture(texture), CanvasEpoch(self.epoch)).expect("it exists");
        batch.destroy_texture(texture_id);
        batch.drop_texture(texture_id);
        batch.submit();
        self.outcomes.recv_timeout(TIMEOUT).expect("the present ends");
        let presenting = began.elapsed();
        self.page.render();
        self.page.finish();
        let time = began.elapsed();
        self.presenting += presenting;
        self.compositing += time - presenting;
        // The clock has stopped.
        let bytes = self.presenter.memory_report().iter().map(|report| report.bytes).sum();
        self.most_memory = self.most_memory.max(bytes);
        time
    }

    /// Fills the texture with a color.
    fn draw(&self, texture: wgpu_core::id::TextureId) {
        let global = &self.gpu.global;
        let (view, _) = global.texture_create_view(texture, &TextureViewDescriptor::default(), None);
        self.gpu.submit(self.device, |encoder| {
            let shade = (self.epoch % 100) as f64 / 100.0;
            let attachment = RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target: None,
                load_op: wgt::LoadOp::Clear(wgt::Color { r: shade, g: 0.5, b: 1.0 - shade, a: 1.0 }),
                store_op: wgt::StoreOp::Store,
            };
            let attachments = [Some(attachment)];
            let descriptor =
                RenderPassDescriptor { color_attachments: attachments[..].into(), ..Default::default() };
            let (mut pass, _) = global.command_encoder_begin_render_pass(encoder, &descriptor);
            global.render_pass_end(&mut pass).expect("a pass");
        });
        global.texture_view_drop(view);
    }
}
