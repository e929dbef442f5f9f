//! A presenter, its compositor, and the part of an engine that draws, waits and maintains.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_presentation::*;
use webrender_api::{ExternalImageData, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::id::BufferId;
use wgpu_core::resource::{BufferDescriptor, TextureDescriptor};
use wgpu_types as wgt;
use wgpu_types::{TextureFormat, TextureUsages};

use crate::gpu::{Device, Gpu, extent, whole};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Whose the canvases are that nobody ends.
pub const OWNER: OwnerId = OwnerId(0);

/// A presenter with one device. The ids of contexts are below a number that it is made with, unless nobody locks them.
pub struct World {
    // Before what it uses, which is dropped after it.
    pub presenter: Presenter,
    pub map: ContextMap,
    pub gpu: Gpu,
    pub device: Device,
    /// The newest that the compositor was told, of each context that one asks for.
    pub generations: Arc<[AtomicU8]>,
    updates: Receiver<Update>,
    answer: Sender<Answer>,
    answers: Receiver<Answer>,
    /// The presenter asked for maintenance.
    woken: Arc<AtomicBool>,
    epoch: CanvasEpoch,
}

struct Update {
    epoch: CanvasEpoch,
    at: Instant,
}

type Answer = (Instant, Result<Snapshot, GetImageError>);

struct Sink {
    updates: Sender<Update>,
    generations: Arc<[AtomicU8]>,
}

impl Sink {
    fn note(&self, key: ImageKey, data: ExternalImageData) {
        if let Some(generation) = self.generations.get(key.1 as usize) {
            generation.store(data.channel_index, Ordering::Relaxed);
        }
    }
}

impl ImageSink for Sink {
    fn add_image(&mut self, key: ImageKey, _: ImageDescriptor, data: ExternalImageData) {
        self.note(key, data);
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        _: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        let at = Instant::now();
        self.note(key, data);
        // Once the world ends nobody listens.
        let _ = self.updates.send(Update { epoch, at });
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

/// What script draws in.
#[derive(Clone, Copy, Debug)]
pub enum Textures {
    /// Textures of wgpu-core's, which are copied to host memory.
    Ordinary,
    /// Textures that the presenter makes.
    Canvas,
}

/// What canvases are drawn from: a texture of noise.
#[derive(Clone, Copy)]
pub struct Painting(PendingTexture);

impl Painting {
    pub fn size(&self) -> Size2D<u32> {
        self.0.configuration.size
    }

    /// The texture itself, which presents leave as it is.
    pub fn texture(&self) -> PendingTexture {
        self.0
    }
}

impl World {
    /// The name of the adapter, if there is one.
    pub fn adapter() -> Option<String> {
        Gpu::new(wgt::InstanceFlags::empty()).map(|gpu| gpu.name)
    }

    pub fn new(frame_memory: FrameMemoryKind, contexts: u64) -> Self {
        let gpu = Gpu::new(wgt::InstanceFlags::empty()).expect("the adapter is still there");
        let device = gpu.device();
        let generations: Arc<[AtomicU8]> = (0..contexts).map(|_| AtomicU8::default()).collect();
        let (sender, updates) = channel();
        let sink = Sink { updates: sender, generations: generations.clone() };
        let woken = Arc::<AtomicBool>::default();
        let asked = woken.clone();
        let options = PresenterOptions {
            wake: Arc::new(move || asked.store(true, Ordering::Release)),
            frame_memory,
            ..PresenterOptions::default()
        };
        let map = ContextMap::default();
        // SAFETY: only the presenter names its staging buffers: the benchmarks name none.
        let presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink, options) };
        let (answer, answers) = channel();
        let epoch = CanvasEpoch(0);
        Self { presenter, map, gpu, device, generations, updates, answer, answers, woken, epoch }
    }

    /// A canvas that is displayed.
    pub fn canvas(&mut self, id: ContextId, owner: OwnerId) {
        let descriptor =
            ContextDescriptor { owner, size: Size2D::new(1, 1), buffer_ids: BufferIds::Allocated };
        self.presenter.create_context(id, descriptor).expect("the id is free");
        let key = ImageKey::new(IdNamespace(1), u32::try_from(id.0).expect("a small id"));
        self.presenter.set_image_key(id, key).expect("it was created");
    }

    /// The newest that the compositor was told of a context.
    pub fn generation(&self, id: ContextId) -> u8 {
        self.generations[id.0 as usize].load(Ordering::Relaxed)
    }

    /// Noise, whose colours are no larger than its alpha.
    pub fn painting(&self, size: Size2D<u32>, alpha_mode: AlphaMode) -> Painting {
        let pixels = (0..u64::from(size.area())).flat_map(|i| {
            let noise = i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
            let colour = |byte: u8| (u16::from(byte) * u16::from(noise[7]) / 255) as u8;
            [colour(noise[4]), colour(noise[5]), colour(noise[6]), noise[7]]
        });
        let configuration = ContextConfiguration {
            device_id: self.device.id,
            queue_id: self.device.queue,
            format: TextureFormat::Bgra8Unorm,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode,
            size,
        };
        let bytes: Vec<u8> = pixels.collect();
        let texture_id = self.gpu.texture_with(self.device, configuration.format, size, &bytes);
        // What was written is copied with the next submission: not with one that is measured.
        self.finish(self.gpu.submit(self.device, |_| ()));
        Painting(PendingTexture { texture_id, encoder_ids: None, configuration })
    }

    /// Canvases of script's, drawn in one submission that is done. Maintains first, if that was asked for.
    pub fn draw(&mut self, painting: Painting, count: u64) -> Vec<PendingTexture> {
        self.maintain_if_asked();
        let (textures, submission) = self.submit_drawing(painting, count, Textures::Ordinary);
        self.finish(submission);
        textures
    }

    /// The same, with canvas textures of the presenter's. The context of each has its index.
    pub fn draw_direct(&mut self, painting: Painting, count: u64) -> Vec<PendingTexture> {
        self.maintain_if_asked();
        let (textures, submission) = self.submit_drawing(painting, count, Textures::Canvas);
        self.finish(submission);
        textures
    }

    /// Creates textures, draws and presents them. Returns how long it took from the beginning to the last image update.
    pub fn whole_frame(&mut self, painting: Painting, count: u64, textures: Textures) -> Duration {
        self.maintain_if_asked();
        let began = Instant::now();
        let (textures, _) = self.submit_drawing(painting, count, textures);
        let drawn = began.elapsed();
        drawn + self.present((0..).map(ContextId).zip(textures))
    }

    /// Submits nothing and waits for it.
    pub fn submit_nothing(&self) -> Duration {
        let began = Instant::now();
        let submission = self.gpu.global.queue_submit(self.device.queue, &[]).expect("it can be submitted");
        self.finish(submission);
        began.elapsed()
    }

    /// Copies textures to host memory with raw wgpu-core, on this thread, and waits for it.
    pub fn copy_to_host(&self, textures: &[PendingTexture], buffers: &[BufferId]) -> Duration {
        let began = Instant::now();
        let submission = self.gpu.submit(self.device, |encoder| {
            for (texture, buffer) in textures.iter().zip(buffers) {
                let size = texture.configuration.size;
                let layout = wgt::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some((size.width * 4).next_multiple_of(256)),
                    rows_per_image: None,
                };
                let to = wgt::TexelCopyBufferInfo { buffer: *buffer, layout };
                let from = whole(texture.texture_id);
                let global = &self.gpu.global;
                let copied =
                    global.command_encoder_copy_texture_to_buffer(encoder, &from, &to, &extent(size));
                copied.expect("the texture can be copied");
            }
        });
        self.finish(submission);
        began.elapsed()
    }

    /// Buffers that the CPU can map, one for each texture of this size.
    pub fn host_buffers(&self, size: Size2D<u32>, count: u64) -> Vec<BufferId> {
        let descriptor = BufferDescriptor {
            label: None,
            size: u64::from((size.width * 4).next_multiple_of(256)) * u64::from(size.height),
            usage: wgt::BufferUsages::COPY_DST | wgt::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        };
        let create = |_| self.gpu.global.device_create_buffer(self.device.id, &descriptor, None).0;
        (0..count).map(create).collect()
    }

    fn submit_drawing(
        &mut self,
        painting: Painting,
        count: u64,
        kind: Textures,
    ) -> (Vec<PendingTexture>, wgpu_core::SubmissionIndex) {
        let PendingTexture { texture_id: from, configuration, .. } = painting.0;
        let usage = TextureUsages::COPY_SRC | TextureUsages::COPY_DST | TextureUsages::RENDER_ATTACHMENT;
        let descriptor = TextureDescriptor {
            label: None,
            size: extent(configuration.size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format: configuration.format,
            usage,
            view_formats: vec![],
        };
        let texture = |context| match kind {
            Textures::Ordinary => {
                self.gpu.texture(self.device, configuration.format, configuration.size, usage)
            }
            Textures::Canvas => {
                let context = ContextId(context);
                self.presenter.create_canvas_texture(context, &configuration, &descriptor, None).0
            }
        };
        let textures: Vec<_> = (0..count).map(texture).collect();
        let submission = self.gpu.submit(self.device, |encoder| {
            for to in &textures {
                self.gpu
                    .global
                    .command_encoder_copy_texture_to_texture(
                        encoder,
                        &whole(from),
                        &whole(*to),
                        &extent(configuration.size),
                    )
                    .expect("the painting can be copied");
            }
        });
        let pending = |texture_id| PendingTexture { texture_id, ..painting.0 };
        (textures.into_iter().map(pending).collect(), submission)
    }

    /// Presents one texture to each context in one batch, destroys the textures as engines do, and waits for all image updates.
    /// Returns how long after the call the last of them came.
    pub fn present(&mut self, frame: impl IntoIterator<Item = (ContextId, PendingTexture)>) -> Duration {
        self.frame(frame, true)
    }

    /// The same, and the textures remain.
    pub fn show(&mut self, frame: impl IntoIterator<Item = (ContextId, PendingTexture)>) -> Duration {
        self.frame(frame, false)
    }

    fn frame(
        &mut self,
        frame: impl IntoIterator<Item = (ContextId, PendingTexture)>,
        destroy: bool,
    ) -> Duration {
        self.epoch.0 += 1;
        let began = Instant::now();
        let mut batch = self.presenter.batch();
        let mut awaited = 0;
        for (id, texture) in frame {
            batch.present(id, Contents::Texture(texture), self.epoch).expect("it can be presented");
            if destroy {
                batch.destroy_texture(texture.texture_id);
                batch.drop_texture(texture.texture_id);
            }
            awaited += 1;
        }
        batch.submit();
        let mut last = began;
        while awaited > 0 {
            let update =
                self.updates.recv_timeout(TIMEOUT).expect("each present yields an image update within 30 s");
            // Of earlier ones somebody else has heard enough.
            if update.epoch == self.epoch {
                awaited -= 1;
                last = update.at;
            }
        }
        last - began
    }

    /// The image, and how long after the call it was answered with.
    pub fn image(&mut self, id: ContextId, texture: Option<PendingTexture>) -> (Duration, Snapshot) {
        let answer = self.answer.clone();
        let began = Instant::now();
        // Once the world ends nobody listens.
        let reply = move |image| drop(answer.send((Instant::now(), image)));
        self.presenter.get_image(id, texture, reply);
        let (at, image) = self.answers.recv_timeout(TIMEOUT).expect("get_image is answered within 30 s");
        (at - began, image.expect("there is an image"))
    }

    /// As an engine does between two frames.
    pub fn maintain_if_asked(&mut self) {
        if self.woken.swap(false, Ordering::Acquire) {
            self.presenter.maintain();
        }
    }

    /// The GPU is done, and wgpu-core has freed what it used.
    fn finish(&self, submission: wgpu_core::SubmissionIndex) {
        let wait = wgt::PollType::Wait { submission_index: Some(submission), timeout: Some(TIMEOUT) };
        self.gpu.global.device_poll(self.device.id, wait).expect("the GPU is done within 30 s");
    }
}
