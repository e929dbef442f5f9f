//! The floor: raw wgpu-core on one thread, without messages.
//!
//! A present is one copy, one submission, and waiting for it. That is the least which reading back costs.

pub mod threads;

use std::time::{Duration, Instant};

use euclid::default::Size2D;
use wgpu_core::SubmissionIndex;
use wgpu_core::command::{TexelCopyBufferInfo, TexelCopyTextureInfo};
use wgpu_core::device::HostMap;
use wgpu_core::id::{BufferId, CommandEncoderId, TextureId};
use wgpu_core::resource::BufferMapOperation;
use wgpu_types as wgt;

use crate::common::{extent, rest, set_up, stride};
use crate::entrant::{AlphaMode, Entrant, Locker, Source, Then, pixel};
use crate::long_work::BusyDevice;
use crate::raw::{Core, Device};

pub const NAME: &str = "floor";
/// The name of a floor that submits an empty command buffer, and waits for it.
pub const EMPTY_NAME: &str = "floor that copies nothing";

pub struct Floor {
    name: &'static str,
    /// Whether presents copy.
    copies: bool,
    core: Core,
    device: Device,
    busy: Option<BusyDevice>,
    long_work: Option<SubmissionIndex>,
    canvases: Vec<Canvas>,
}

struct Canvas {
    /// Two buffers that take turns, so that a copy does not overwrite what is shown.
    staging: [Staging; 2],
    turn: usize,
    drawn: Option<(TextureId, Size2D<u32>)>,
}

#[derive(Clone, Copy)]
struct Staging {
    buffer: BufferId,
    is_mapped: bool,
}

impl Floor {
    pub fn new() -> Self {
        Self::named(NAME, true)
    }

    /// Returns a floor whose presents submit an empty command buffer and wait for it. That is the least which waiting for the GPU costs.
    pub fn empty() -> Self {
        Self::named(EMPTY_NAME, false)
    }

    fn named(name: &'static str, copies: bool) -> Self {
        let core = set_up();
        let device = core.device();
        Self { name, copies, core, device, busy: None, long_work: None, canvases: Vec::new() }
    }

    /// Records the copy of what was drawn into the canvas's next staging buffer, which it returns.
    fn record(&mut self, encoder: CommandEncoderId, canvas: usize) -> BufferId {
        let global = &self.device.global;
        let canvas = &mut self.canvases[canvas];
        canvas.turn = 1 - canvas.turn;
        let staging = &mut canvas.staging[canvas.turn];
        if staging.is_mapped {
            global.buffer_unmap(staging.buffer).expect("it is mapped");
        }
        staging.is_mapped = true;
        let (texture, size) = canvas.drawn.expect("it was drawn");
        let from = TexelCopyTextureInfo {
            texture,
            mip_level: 0,
            origin: wgt::Origin3d::ZERO,
            aspect: wgt::TextureAspect::All,
        };
        let layout =
            wgt::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride(size)), rows_per_image: None };
        let to = TexelCopyBufferInfo { buffer: staging.buffer, layout };
        global
            .command_encoder_copy_texture_to_buffer(encoder, &from, &to, &extent(size))
            .expect("it can be recorded");
        staging.buffer
    }

    fn copy(&mut self, canvases: &[usize]) -> SubmissionIndex {
        let encoder = self.device.encoder();
        let copied = if self.copies { canvases } else { &[] };
        let buffers: Vec<_> = copied.iter().map(|canvas| self.record(encoder, *canvas)).collect();
        let submission = self.device.submit(encoder);
        for buffer in buffers {
            let map = BufferMapOperation { host: HostMap::Read, callback: None };
            self.device.global.buffer_map_async(buffer, 0, None, map).expect("it can be mapped");
        }
        submission
    }

    /// Copies the bytes that are shown.
    fn read(&self, canvas: usize) -> Vec<u8> {
        let canvas = &self.canvases[canvas];
        let buffer = canvas.staging[canvas.turn].buffer;
        let (pointer, len) =
            self.device.global.buffer_get_mapped_range(buffer, 0, None).expect("it is mapped");
        // SAFETY: the buffer is mapped for reading, `len` bytes from `pointer` on, until its next turn, which `&self` excludes
        // here. The device, which would free its memory, is never destroyed.
        unsafe { std::slice::from_raw_parts(pointer.as_ptr(), len as usize) }.to_vec()
    }

    fn drop_texture(&mut self, canvas: usize) {
        if let Some((texture, _)) = self.canvases[canvas].drawn.take() {
            self.device.global.texture_destroy(texture);
            self.device.global.texture_drop(texture);
        }
    }

    fn busy(&mut self) -> &BusyDevice {
        self.busy.get_or_insert_with(|| BusyDevice::new(&self.core))
    }
}

impl Entrant for Floor {
    fn name(&self) -> &'static str {
        self.name
    }

    /// Creates a canvas whose textures are never larger than `size`.
    fn create_canvas(&mut self, size: Size2D<u32>, _: AlphaMode) -> usize {
        let bytes = u64::from(stride(size)) * u64::from(size.height);
        let usage = wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST;
        let staging = || Staging { buffer: self.device.buffer(bytes, usage, false), is_mapped: false };
        self.canvases.push(Canvas { staging: [staging(), staging()], turn: 0, drawn: None });
        self.canvases.len() - 1
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.drop_texture(canvas);
        for staging in self.canvases[canvas].staging {
            self.device.global.buffer_drop(staging.buffer);
        }
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        frame.iter().for_each(|(canvas, _)| self.drop_texture(*canvas));
        let textures: Vec<_> = frame.iter().map(|(_, size)| self.device.texture(*size)).collect();
        let submission = self.device.clear(&textures);
        self.device.wait(submission);
        for ((canvas, size), texture) in frame.iter().zip(textures) {
            self.canvases[*canvas].drawn = Some((texture, *size));
        }
        rest();
    }

    fn present(&mut self, canvases: &[usize], then: Then) -> Duration {
        let start = Instant::now();
        let submission = self.copy(canvases);
        self.device.wait(submission);
        let time = start.elapsed();
        // The clock has stopped: destroying the texture is not part of what a present has to do.
        if then == Then::Destroy {
            canvases.iter().for_each(|canvas| self.drop_texture(*canvas));
        }
        time
    }

    fn script_frame(&mut self, frame: &[(usize, Size2D<u32>)], drawn: bool) -> Duration {
        let start = Instant::now();
        let textures: Vec<_> = frame.iter().map(|(_, size)| self.device.texture(*size)).collect();
        if drawn {
            self.device.clear(&textures);
        }
        for ((canvas, size), texture) in frame.iter().zip(textures) {
            self.canvases[*canvas].drawn = Some((texture, *size));
        }
        let canvases: Vec<_> = frame.iter().map(|(canvas, _)| *canvas).collect();
        let submission = self.copy(&canvases);
        self.device.wait(submission);
        canvases.iter().for_each(|canvas| self.drop_texture(*canvas));
        start.elapsed()
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        let start = Instant::now();
        if source == Source::Drawn {
            let submission = self.copy(&[canvas]);
            self.device.wait(submission);
        }
        let bytes = self.read(canvas);
        let time = start.elapsed();
        assert_eq!(bytes.first_chunk(), Some(&pixel(AlphaMode::Premultiplied)), "it is what was drawn");
        time
    }

    fn start_long_work(&mut self, units: u32) {
        self.long_work = Some(self.busy().submit(units));
    }

    fn finish_long_work(&mut self) {
        let submission = self.long_work.take().expect("it was started");
        self.busy().device.wait(submission);
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        None
    }
}
