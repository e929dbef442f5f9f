//! Real wgpu-core on a real adapter, with the validation layers listening.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Once, OnceLock};

use euclid::default::Size2D;
use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use webgpu_presentation::{AlphaMode, ContextConfiguration, PendingTexture, PredefinedColorSpace};
use wgpu_core::device::HostMap;
use wgpu_core::global::Global;
use wgpu_core::id::{AdapterId, CommandBufferId, CommandEncoderId, DeviceId, QueueId, TextureId};
use wgpu_core::resource::{BufferDescriptor, BufferMapOperation, TextureDescriptor};
use wgpu_types as wgt;
use wgpu_types::{TextureFormat, TextureUsages};

/// wgpu-core's hub on one backend, and its first adapter.
pub struct Gpu {
    pub global: Arc<Global>,
    pub adapter: AdapterId,
    pub name: String,
    _alone: Option<ReentrantMutexGuard<'static, ()>>,
}

/// Instances with validation live one at a time, because the validation layer of Debian 12 (1.3.239) crashes now and then when
/// several threads use several instances.
static VALIDATED: ReentrantMutex<()> = ReentrantMutex::new(());

#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub id: DeviceId,
    pub queue: QueueId,
}

impl Device {
    /// A premultiplied BGRA canvas in sRGB.
    pub fn configuration(self, size: Size2D<u32>) -> ContextConfiguration {
        ContextConfiguration {
            device_id: self.id,
            queue_id: self.queue,
            format: TextureFormat::Bgra8Unorm,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode: AlphaMode::Premultiplied,
            size,
        }
    }
}

/// Validation errors logged since the process began.
static VALIDATION_ERRORS: AtomicUsize = AtomicUsize::new(0);

/// Set if wgpu-hal finds no validation layer.
static NO_LAYER: AtomicBool = AtomicBool::new(false);

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn || metadata.target() == "wgpu_hal::vulkan::instance"
    }

    fn log(&self, record: &log::Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        // The layer of Debian 12 does not know that shaders may be written in WGSL.
        if text.contains("SPIR-V module not valid: Invalid source language operand: 10") {
            return;
        }
        if text.contains("VUID") || (text.contains("VALIDATION") && record.level() == log::Level::Error) {
            VALIDATION_ERRORS.fetch_add(1, Ordering::SeqCst);
            eprintln!("{text}");
        } else if text.contains("unable to find layer") {
            NO_LAYER.store(true, Ordering::SeqCst);
        } else if record.target().starts_with("webgpu_presentation") {
            eprintln!("{}: {text}", record.level());
        }
    }

    fn flush(&self) {}
}

/// Says, once, what the tests run on and what they leave out. The line goes past the test harness, which hides what passing tests
/// print.
fn tell(adapter: Option<&str>, validation: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let line = match (adapter, validation) {
            (Some(adapter), true) => format!("adapter: {adapter}, with validation"),
            (Some(adapter), false) => format!("adapter: {adapter}; SKIPPED: validation, without layers"),
            (None, _) => "SKIPPED: every test that needs a Vulkan adapter, there is none".into(),
        };
        // It does not matter if standard error is closed.
        let _ = writeln!(std::io::stderr(), "{line}");
    });
}

/// Fails if the validation layers have logged an error since the process began.
pub fn assert_no_validation_errors() {
    assert_eq!(VALIDATION_ERRORS.load(Ordering::SeqCst), 0, "see the messages above");
}

impl Gpu {
    /// The first Vulkan adapter, with validation unless the environment forbids layers; the errors that it finds are counted.
    /// `None` without an adapter. If the environment says that there must be one, the test fails instead.
    pub fn for_test() -> Option<Self> {
        static LOGGER: Once = Once::new();
        LOGGER.call_once(|| {
            log::set_logger(&Logger).expect("the first logger");
            // wgpu-hal logs at the level of debugging that there are no layers.
            log::set_max_level(log::LevelFilter::Debug);
        });
        let alone = VALIDATED.lock();
        // Objects get no labels, because the loader of Debian 12 (1.3.239) walks through its devices to name an object while
        // another thread destroys one.
        let validated = wgt::InstanceFlags::DEBUG
            | wgt::InstanceFlags::VALIDATION
            | wgt::InstanceFlags::DISCARD_HAL_LABELS;
        let without_layers = std::env::var_os("WEBGPU_PRESENTATION_WITHOUT_LAYERS").is_some();
        let flags = if without_layers { wgt::InstanceFlags::empty() } else { validated };
        if without_layers {
            // This instance keeps the driver loaded: otherwise what it keeps for the process would be reported as a leak.
            static DRIVER: OnceLock<Option<Arc<Global>>> = OnceLock::new();
            DRIVER.get_or_init(|| Self::new(flags).map(|gpu| gpu.global));
        }
        let gpu = Self::new(flags).map(|gpu| Self { _alone: Some(alone), ..gpu });
        let adapter = gpu.as_ref().map(|gpu| gpu.name.as_str());
        let validation = !without_layers && !NO_LAYER.load(Ordering::SeqCst);
        if std::env::var_os("WEBGPU_PRESENTATION_REQUIRE_ADAPTER").is_some() {
            assert!(adapter.is_some(), "there is no Vulkan adapter");
            assert!(validation || without_layers, "there are no Vulkan validation layers");
        }
        tell(adapter, validation);
        gpu
    }

    pub fn new(flags: wgt::InstanceFlags) -> Option<Self> {
        let descriptor = wgt::InstanceDescriptor {
            backends: wgt::Backends::VULKAN,
            flags,
            ..wgt::InstanceDescriptor::new_without_display_handle()
        };
        Self::with(descriptor)
    }

    /// The first GL adapter, without validation. `None` if there is none.
    pub fn gles_for_test() -> Option<Self> {
        let mut descriptor = wgt::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgt::Backends::GL;
        let gpu = Self::with(descriptor);
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let line = gpu.as_ref().map_or("SKIPPED: every test on GL, there is no adapter".into(), |gpu| {
                format!("GL adapter: {}", gpu.name)
            });
            let _ = writeln!(std::io::stderr(), "{line}");
        });
        gpu
    }

    /// wgpu-core's backend without a driver: it copies and maps buffers, and nothing else.
    pub fn noop() -> Self {
        let mut descriptor = wgt::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgt::Backends::NOOP;
        // The default flags make wgpu-core compile shaders for each device.
        descriptor.flags = wgt::InstanceFlags::empty();
        descriptor.backend_options.noop.enable = true;
        Self::with(descriptor).expect("there is always a noop adapter")
    }

    fn with(descriptor: wgt::InstanceDescriptor) -> Option<Self> {
        let backends = descriptor.backends;
        let global = Arc::new(Global::new("webgpu-presentation", descriptor, None));
        let adapter = global.request_adapter(&wgt::RequestAdapterOptions::default(), backends, None).ok()?;
        let info = global.adapter_get_info(adapter);
        let name = format!("{} ({})", info.name, info.driver_info);
        Some(Self { global, adapter, name, _alone: None })
    }

    /// A device with all of the adapter's limits.
    pub fn device(&self) -> Device {
        let descriptor = wgt::DeviceDescriptor {
            required_limits: self.global.adapter_limits(self.adapter),
            ..Default::default()
        };
        let (id, queue) = self
            .global
            .adapter_request_device(self.adapter, &descriptor, None, None)
            .expect("the adapter gives a device");
        Device { id, queue }
    }

    pub fn texture(
        &self,
        device: Device,
        format: TextureFormat,
        size: Size2D<u32>,
        usage: TextureUsages,
    ) -> TextureId {
        self.texture_with_views(device, format, size, usage, &[])
    }

    /// A texture that can be seen through views of these formats too.
    pub fn texture_with_views(
        &self,
        device: Device,
        format: TextureFormat,
        size: Size2D<u32>,
        usage: TextureUsages,
        view_formats: &[TextureFormat],
    ) -> TextureId {
        let descriptor =
            TextureDescriptor { view_formats: view_formats.to_vec(), ..descriptor(format, size, usage) };
        let (id, error) = self.global.device_create_texture(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        id
    }

    /// The error texture that script gets for a descriptor that does not validate.
    pub fn invalid_texture(&self, device: Device) -> TextureId {
        let descriptor = descriptor(TextureFormat::Bgra8Unorm, Size2D::new(0, 0), TextureUsages::COPY_SRC);
        let (id, error) = self.global.device_create_texture(device.id, &descriptor, None);
        assert!(error.is_some());
        id
    }

    /// A canvas texture with these bytes, row after row without padding.
    pub fn texture_with(
        &self,
        device: Device,
        format: TextureFormat,
        size: Size2D<u32>,
        bytes: &[u8],
    ) -> TextureId {
        let usage = TextureUsages::COPY_SRC | TextureUsages::COPY_DST | TextureUsages::RENDER_ATTACHMENT;
        let id = self.texture(device, format, size, usage);
        self.write(device, id, size, bytes);
        id
    }

    /// A canvas of this configuration with these bytes, row after row without padding.
    pub fn canvas(
        &self,
        device: Device,
        configuration: ContextConfiguration,
        bytes: &[u8],
    ) -> PendingTexture {
        let texture_id = self.texture_with(device, configuration.format, configuration.size, bytes);
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    pub fn write(&self, device: Device, texture: TextureId, size: Size2D<u32>, bytes: &[u8]) {
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(u32::try_from(bytes.len()).expect("a small texture") / size.height),
            rows_per_image: None,
        };
        self.global
            .queue_write_texture(device.queue, &whole(texture), bytes, &layout, &extent(size))
            .expect("the texture can be written");
    }

    /// The bytes of a texture, row after row, read without this crate. Blocks until the device is idle.
    pub fn read(&self, device: Device, texture: TextureId, size: Size2D<u32>) -> Vec<u8> {
        let global = &self.global;
        let stride = (size.width * 4).next_multiple_of(wgt::COPY_BYTES_PER_ROW_ALIGNMENT);
        let descriptor = BufferDescriptor {
            label: Some("oracle".into()),
            size: u64::from(stride) * u64::from(size.height),
            usage: wgt::BufferUsages::MAP_READ | wgt::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let (buffer, error) = global.device_create_buffer(device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        let layout =
            wgt::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(stride), rows_per_image: None };
        self.submit(device, |encoder| {
            let target = wgt::TexelCopyBufferInfo { buffer, layout };
            global
                .command_encoder_copy_texture_to_buffer(encoder, &whole(texture), &target, &extent(size))
                .expect("the texture can be copied");
        });
        let map = BufferMapOperation { host: HostMap::Read, callback: None };
        global.buffer_map_async(buffer, 0, None, map).expect("the buffer can be mapped");
        global.device_poll(device.id, wgt::PollType::wait_indefinitely()).expect("the device is alive");
        let (pointer, len) = global.buffer_get_mapped_range(buffer, 0, None).expect("it is mapped");
        // SAFETY: the buffer is mapped for reading until `buffer_drop` below, on this thread.
        let mapped = unsafe { std::slice::from_raw_parts(pointer.as_ptr(), len as usize) };
        let bytes =
            mapped.chunks(stride as usize).flat_map(|row| &row[..size.width as usize * 4]).copied().collect();
        global.buffer_drop(buffer);
        bytes
    }

    /// Records commands, submits them and returns the index of the submission.
    pub fn submit(&self, device: Device, record: impl FnOnce(CommandEncoderId)) -> u64 {
        let global = &self.global;
        let (encoder, error) = global.device_create_command_encoder(device.id, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        record(encoder);
        let (commands, error): (CommandBufferId, _) =
            global.command_encoder_finish(encoder, &Default::default(), None);
        assert!(error.is_none(), "{error:?}");
        let index = global.queue_submit(device.queue, &[commands]).expect("it can be submitted");
        global.command_buffer_drop(commands);
        global.command_encoder_drop(encoder);
        index
    }

    /// Entries of wgpu-core's hub that frames, devices and textures leave.
    pub fn hub_entries(&self) -> [(usize, &'static str); 7] {
        let report = self.global.generate_report();
        let hub = report.hub_report();
        [
            (&hub.devices, "devices"),
            (&hub.queues, "queues"),
            (&hub.buffers, "buffers"),
            (&hub.textures, "textures"),
            (&hub.texture_views, "texture views"),
            (&hub.command_encoders, "command encoders"),
            (&hub.command_buffers, "command buffers"),
        ]
        .map(|(entries, what)| (entries.num_allocated.max(entries.num_kept_from_user), what))
    }

    pub fn drop_texture(&self, texture: TextureId) {
        self.global.texture_destroy(texture);
        self.global.texture_drop(texture);
    }
}

/// Describes a plain texture.
pub fn descriptor(
    format: TextureFormat,
    size: Size2D<u32>,
    usage: TextureUsages,
) -> TextureDescriptor<'static> {
    TextureDescriptor {
        label: Some("canvas".into()),
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format,
        usage,
        view_formats: vec![],
    }
}

pub fn whole(texture: TextureId) -> wgt::TexelCopyTextureInfo<TextureId> {
    wgt::TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: wgt::Origin3d::ZERO,
        aspect: wgt::TextureAspect::All,
    }
}

pub fn extent(size: Size2D<u32>) -> wgt::Extent3d {
    wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 }
}
