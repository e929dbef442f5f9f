//! Many canvases of one size, presented from a few textures that they share, and read by a renderer and by script.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use parking_lot::Mutex;
use webgpu_presentation::*;
use webrender_api::{ExternalImageData, ExternalImageSource, IdNamespace, ImageDescriptor, ImageKey};
use wgpu_core::id::TextureId;
use wgpu_core::resource::{BufferDescriptor, CreateTextureError};
use wgpu_types as wgt;

use super::gpu::{self, Device, Gpu, extent, whole};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Canvases in one batch.
const BATCH: usize = 500;

/// The colors that canvases show.
pub const COLORS: [[u8; 4]; 4] = [[0, 0, 255, 255], [0, 255, 0, 255], [255, 0, 0, 255], [90, 60, 30, 120]];

/// What a canvas shows after it was presented in a round. Neighbors differ, and so do rounds.
pub fn color(canvas: u64, round: u64) -> [u8; 4] {
    COLORS[(canvas.wrapping_add(round) % COLORS.len() as u64) as usize]
}

/// A texture of each color.
fn textures(gpu: &Gpu, device: Device, size: Size2D<u32>) -> Vec<TextureId> {
    let format = wgt::TextureFormat::Bgra8Unorm;
    let texture =
        |color: [u8; 4]| gpu.texture_with(device, format, size, &color.repeat(size.area() as usize));
    COLORS.map(texture).into()
}

/// What a renderer was told last of each image. Clones share it.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<HashMap<ImageKey, (ImageDescriptor, u8)>>>);

impl ImageSink for Sink {
    fn add_image(&mut self, key: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        self.0.lock().insert(key, (descriptor, data.channel_index));
    }

    fn update_image(
        &mut self,
        key: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        _: CanvasEpoch,
    ) {
        self.0.lock().insert(key, (descriptor, data.channel_index));
    }

    fn delete_image(&mut self, key: ImageKey) {
        self.0.lock().remove(&key);
    }
}

fn image_key(canvas: u64) -> ImageKey {
    ImageKey::new(IdNamespace(1), canvas as u32)
}

fn presenter(gpu: &Gpu, map: &ContextMap, sink: Sink, options: PresenterOptions) -> Presenter {
    // SAFETY: only the presenter names its staging buffers.
    unsafe { Presenter::new(gpu.global.clone(), map, sink, options) }
}

/// Canvases of one size, presented from a texture for each color, by an engine that calls `maintain` when it is asked to.
pub struct Crowd {
    pub gpu: Gpu,
    pub device: Device,
    pub presenter: Presenter,
    pub size: Size2D<u32>,
    sink: Sink,
    images: ExternalImages,
    /// One of each color.
    textures: Vec<TextureId>,
    outcomes: Receiver<PresentOutcome>,
    wakes: Receiver<()>,
}

impl Crowd {
    /// Canvases that show nothing yet.
    pub fn new(gpu: Gpu, canvases: u64, size: Size2D<u32>) -> Self {
        let device = gpu.device();
        let (on_outcome, outcomes) = channel();
        let (wake, wakes) = channel();
        let options = PresenterOptions {
            // The receivers end with the presenter, or before it.
            on_outcome: Box::new(move |outcome| _ = on_outcome.send(outcome)),
            wake: Arc::new(move || _ = wake.send(())),
            ..Default::default()
        };
        let (map, sink) = (ContextMap::default(), Sink::default());
        let mut presenter = presenter(&gpu, &map, sink.clone(), options);
        for canvas in 0..canvases {
            let descriptor = ContextDescriptor { owner: OwnerId(0), size, buffer_ids: BufferIds::Allocated };
            presenter.create_context(ContextId(canvas), descriptor).unwrap();
            presenter.set_image_key(ContextId(canvas), image_key(canvas)).unwrap();
        }
        let format = wgt::TextureFormat::Bgra8Unorm;
        let texture =
            |color: [u8; 4]| gpu.texture_with(device, format, size, &color.repeat(size.area() as usize));
        let textures = COLORS.map(texture).into();
        let images = ExternalImages::new(&map);
        Self { gpu, device, presenter, size, sink, images, textures, outcomes, wakes }
    }

    /// Lets the canvases have another size from the next round on.
    pub fn resize(&mut self, size: Size2D<u32>) {
        let textures = textures(&self.gpu, self.device, size);
        let old = std::mem::replace(&mut self.textures, textures);
        old.into_iter().for_each(|texture| self.gpu.drop_texture(texture));
        self.size = size;
    }

    /// The texture that a canvas presents in a round.
    pub fn texture(&self, canvas: u64, round: u64) -> PendingTexture {
        let color = color(canvas, round);
        let index = COLORS.iter().position(|known| *known == color).unwrap();
        let configuration = self.device.configuration(self.size);
        PendingTexture { texture_id: self.textures[index], encoder_ids: None, configuration }
    }

    /// Presents one canvas, and returns how that ended.
    pub fn present_one(&mut self, canvas: u64, texture: PendingTexture) -> PresentOutcome {
        let contents = Contents::Texture(texture);
        self.presenter.present(ContextId(canvas), contents, CanvasEpoch(0)).unwrap();
        self.wait(|crowd| crowd.outcomes.try_recv().ok())
    }

    /// Presents canvases in a round, and returns how that ended.
    pub fn present(&mut self, canvases: Range<u64>, round: u64) -> Vec<PresentOutcome> {
        self.present_with(canvases, |crowd, canvas| crowd.texture(canvas, round), round)
    }

    /// Draws canvases in a round, in textures that the presenter makes, presents them, and returns how that ended.
    #[track_caller]
    pub fn present_drawn(&mut self, canvases: Range<u64>, round: u64) -> Vec<PresentOutcome> {
        let mut textures = vec![];
        let draw = |crowd: &mut Self, canvas: u64| {
            let texture = crowd.canvas_texture(canvas).expect("there is memory");
            let bytes = color(canvas, round).repeat(crowd.size.area() as usize);
            crowd.gpu.write(crowd.device, texture.texture_id, crowd.size, &bytes);
            textures.push(texture.texture_id);
            texture
        };
        let outcomes = self.present_with(canvases, draw, round);
        textures.into_iter().for_each(|texture| self.gpu.global.texture_drop(texture));
        outcomes
    }

    /// A texture of a canvas, which the presenter makes.
    pub fn canvas_texture(&mut self, canvas: u64) -> Result<PendingTexture, CreateTextureError> {
        let configuration = self.device.configuration(self.size);
        let usage = wgt::TextureUsages::COPY_SRC | wgt::TextureUsages::COPY_DST;
        let descriptor =
            gpu::descriptor(configuration.format, self.size, usage | wgt::TextureUsages::RENDER_ATTACHMENT);
        let context = ContextId(canvas);
        let (texture_id, error) =
            self.presenter.create_canvas_texture(context, &configuration, &descriptor, None);
        match error {
            Some(error) => {
                self.gpu.drop_texture(texture_id);
                Err(error)
            }
            None => Ok(PendingTexture { texture_id, encoder_ids: None, configuration }),
        }
    }

    fn present_with(
        &mut self,
        canvases: Range<u64>,
        mut texture: impl FnMut(&mut Self, u64) -> PendingTexture,
        round: u64,
    ) -> Vec<PresentOutcome> {
        let mut outcomes = vec![];
        let canvases: Vec<_> = canvases.collect();
        for canvases in canvases.chunks(BATCH) {
            let textures = canvases.iter().map(|&canvas| (ContextId(canvas), texture(self, canvas)));
            let textures: Vec<_> = textures.collect();
            let mut batch = self.presenter.batch();
            for (context, texture) in textures {
                batch.present(context, Contents::Texture(texture), CanvasEpoch(round)).unwrap();
            }
            batch.submit();
            let receive = |crowd: &mut Self| crowd.outcomes.try_recv().ok();
            outcomes.extend(canvases.iter().map(|_| self.wait(receive)));
        }
        outcomes
    }

    /// Presents canvases in a round. Every one of them becomes what its canvas shows.
    #[track_caller]
    pub fn show(&mut self, canvases: Range<u64>, round: u64) {
        for outcome in self.present(canvases, round) {
            assert!(matches!(outcome.end, PresentEnd::Presented), "{outcome:?}");
        }
    }

    /// The color of the whole canvas, as a renderer sees it.
    #[track_caller]
    pub fn shown(&mut self, canvas: u64) -> [u8; 4] {
        let (descriptor, generation) = self.sink.0.lock()[&image_key(canvas)];
        assert_eq!(descriptor.size.to_u32().to_untyped(), self.size, "canvas {canvas}");
        self.color_of_image(canvas, &descriptor, generation)
    }

    /// The canvas shows nothing.
    #[track_caller]
    pub fn assert_blank(&mut self, canvas: u64) {
        let (descriptor, generation) = self.sink.0.lock()[&image_key(canvas)];
        assert_eq!(self.color_of_image(canvas, &descriptor, generation), [0; 4], "canvas {canvas}");
    }

    #[track_caller]
    fn color_of_image(&mut self, canvas: u64, descriptor: &ImageDescriptor, generation: u8) -> [u8; 4] {
        let id = ContextId(canvas).into();
        let ExternalImageSource::RawData(bytes) = self.images.lock(id, Some(generation)) else {
            panic!("a living context is never invalid")
        };
        let (stride, row) = (descriptor.compute_stride() as usize, descriptor.size.width as usize * 4);
        let rows = bytes.chunks(stride).take(descriptor.size.height as usize);
        let color = uniform(rows.map(|bytes| &bytes[..row]));
        self.images.unlock(id, Some(generation));
        color
    }

    /// Every canvas shows what was presented in this round.
    #[track_caller]
    pub fn assert_shown(&mut self, canvases: Range<u64>, round: u64) {
        for canvas in canvases {
            assert_eq!(self.shown(canvas), color(canvas, round), "canvas {canvas}");
        }
    }

    /// Asks for snapshots of canvases, of what each shows or of the texture that it presents in a round.
    #[track_caller]
    pub fn snapshots(
        &mut self,
        canvases: impl IntoIterator<Item = u64>,
        round: Option<u64>,
    ) -> Vec<Snapshot> {
        self.read(canvases, round).into_iter().map(|snapshot| snapshot.expect("a snapshot")).collect()
    }

    /// Asks for snapshots, as [`snapshots`](Self::snapshots) does, which may fail.
    #[track_caller]
    pub fn read(
        &mut self,
        canvases: impl IntoIterator<Item = u64>,
        round: Option<u64>,
    ) -> Vec<Result<Snapshot, GetImageError>> {
        let mut receivers = vec![];
        for canvas in canvases {
            let texture = round.map(|round| self.texture(canvas, round));
            let (sender, receiver) = channel();
            self.presenter.get_image(ContextId(canvas), texture, move |image| _ = sender.send(image));
            receivers.push(receiver);
        }
        receivers.into_iter().map(|receiver| self.wait(|_| receiver.try_recv().ok())).collect()
    }

    /// The kinds of memory that the canvases' last frames are in.
    pub fn kinds(&self, canvases: Range<u64>) -> Vec<FrameMemoryKind> {
        let statistics = canvases.map(|canvas| self.presenter.statistics(ContextId(canvas)).unwrap());
        statistics.map(|statistics| statistics.frame_memory.expect("a frame was shown")).collect()
    }

    /// Waits as an engine does that calls `maintain` whenever it is asked to, and at no other time.
    #[track_caller]
    fn wait<T>(&mut self, mut ready: impl FnMut(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(value) = ready(self) {
                return value;
            }
            if self.wakes.try_iter().count() > 0 {
                self.presenter.maintain();
            }
            assert!(Instant::now() < deadline, "it comes");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// The page makes a buffer and a texture, and submits a copy: what script does next works.
    #[track_caller]
    pub fn assert_device_works(&self) {
        let Self { gpu, device, .. } = self;
        let side = Size2D::new(256, 256);
        let descriptor = BufferDescriptor {
            label: None,
            size: 256 * 256 * 4,
            usage: wgt::BufferUsages::COPY_SRC | wgt::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let (buffer, error) = gpu.global.device_create_buffer(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        let usage = wgt::TextureUsages::COPY_SRC | wgt::TextureUsages::COPY_DST;
        let descriptor = gpu::descriptor(wgt::TextureFormat::Rgba8Unorm, side, usage);
        let (texture, error) = gpu.global.device_create_texture(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        let pixels: Vec<_> = (0..256 * 256 * 4).map(|index| (index % 251) as u8).collect();
        gpu.global.queue_write_buffer(device.queue, buffer, 0, &pixels).unwrap();
        gpu.submit(*device, |encoder| {
            let layout =
                wgt::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(256 * 4), rows_per_image: None };
            let source = wgt::TexelCopyBufferInfo { buffer, layout };
            let (global, size) = (&gpu.global, extent(side));
            global
                .command_encoder_copy_buffer_to_texture(encoder, &source, &whole(texture), &size)
                .expect("the buffer can be copied");
        });
        assert!(gpu.read(*device, texture, side) == pixels, "the page's copy");
        gpu.global.buffer_drop(buffer);
        gpu.drop_texture(texture);
    }

    /// Bytes of frame memory, by the presenter's report.
    pub fn reported(&self) -> u64 {
        self.presenter.memory_report().iter().map(|report| report.bytes as u64).sum()
    }

    /// Ends the canvases. The device lives until the caller drops it.
    pub fn close(self) -> (Gpu, Device) {
        let Self { gpu, device, presenter, images, textures, .. } = self;
        drop((presenter, images));
        textures.into_iter().for_each(|texture| gpu.drop_texture(texture));
        gpu.global.device_poll(device.id, wgt::PollType::wait_indefinitely()).unwrap();
        (gpu, device)
    }
}

/// The one color of all rows.
#[track_caller]
pub fn uniform<'a>(rows: impl IntoIterator<Item = &'a [u8]>) -> [u8; 4] {
    let mut rows = rows.into_iter().map(|row| {
        let first: [u8; 4] = *row.first_chunk().expect("a pixel");
        assert!(row[4..] == row[..row.len() - 4], "a torn frame");
        first
    });
    let first = rows.next().expect("a row");
    assert!(rows.all(|row| row == first), "a torn frame");
    first
}

/// The color of the whole snapshot.
#[track_caller]
pub fn color_of(snapshot: &Snapshot) -> [u8; 4] {
    let row_len = snapshot.size().width as usize * snapshot.format().bytes_per_pixel();
    uniform(snapshot.to_vec().unwrap().chunks_exact(row_len))
}
