//! A random engine on the fake GPU.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{DeviceId, TextureId};
use wgpu_core::resource::TextureDescriptor;
use wgpu_types as wgt;

use crate::gpu::Gpu;
use crate::gpu::fake::{self, FakeGpu, Fault};
use crate::tests::chaos::engine::Engine;
use crate::tests::chaos::step::Disturbance;
use crate::tests::chaos::{Device, Drawing, Ids, Parts, Setup};
use crate::tests::oracle::{Pattern, Sink, Trouble};
use crate::{
    ContextConfiguration, ContextId, ContextMap, FrameMemoryKind, PresentError, Presenter, PresenterOptions,
};

pub(super) struct FakeParts {
    pub(super) gpu: FakeGpu,
    has_images: bool,
    memory: FrameMemoryKind,
    devices: Mutex<Vec<DeviceId>>,
}

/// An engine with two presenters, whose devices may have images for canvas textures.
pub(super) fn engine(memory: FrameMemoryKind, renderers: usize, has_images: bool) -> Engine<FakeParts> {
    let setup = Setup {
        memory,
        ids: Ids::Some,
        spin: Duration::ZERO,
        pattern: Pattern::Uniform,
        is_blind: false,
        is_exact: true,
        patience: Duration::from_secs(5),
        most_snapshots: usize::MAX,
        contexts: 4,
        renderers,
    };
    Engine::new(vec![FakeParts::new(memory, has_images), FakeParts::new(memory, has_images)], setup)
}

impl FakeParts {
    fn new(memory: FrameMemoryKind, has_images: bool) -> Self {
        let gpu = FakeGpu::new(memory);
        if has_images {
            gpu.have_images();
        }
        Self { gpu, has_images, memory, devices: Mutex::default() }
    }
}

impl Parts for FakeParts {
    fn presenter(&self, map: &ContextMap, sink: Sink, options: PresenterOptions) -> Presenter {
        Presenter::with_gpu(Arc::new(self.gpu.clone()), map, sink, options)
    }

    fn another(&self) -> Option<Self> {
        Some(Self::new(self.memory, self.has_images))
    }

    fn device(&mut self, number: u32) -> Device {
        self.devices.get_mut().push(fake::device(number));
        Device { id: fake::device(number), queue: fake::queue(number) }
    }

    fn drop_device(&self, _: Device, _: bool) {}

    fn destroy_device(&self, _: Device) -> bool {
        false
    }

    fn canvas_texture(
        &mut self,
        presenter: &mut Presenter,
        context: ContextId,
        configuration: &ContextConfiguration,
        drawing: &Drawing,
    ) -> TextureId {
        let ContextConfiguration { size, format, .. } = *configuration;
        let descriptor = TextureDescriptor {
            label: None,
            size: wgt::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format,
            usage: wgt::TextureUsages::RENDER_ATTACHMENT | wgt::TextureUsages::COPY_SRC,
            view_formats: vec![],
        };
        let (texture, _) = presenter.create_canvas_texture(context, configuration, &descriptor, None);
        self.gpu.draw(texture, &drawing.picture.texels(drawing.bgra, Pattern::Uniform)[..4]);
        texture
    }

    fn texture(&mut self, device: Device, drawing: &Drawing) -> TextureId {
        let texels = drawing.picture.texels(drawing.bgra, Pattern::Uniform);
        let fault = match drawing.trouble {
            Trouble::Invalid => Some(Fault::Invalid),
            Trouble::Destroyed => Some(Fault::Destroyed),
            _ => None,
        };
        self.gpu.texture_of(device.id, &texels[..4], fault)
    }

    fn redraw(&self, _: Device, _: TextureId, _: &Drawing) -> bool {
        false
    }

    fn destroy_texture(&self, texture: TextureId) {
        self.gpu.destroy_texture(texture);
    }

    fn drop_texture(&self, texture: TextureId) {
        self.gpu.drop_texture(texture);
    }

    fn knows(&self, trouble: Trouble) -> bool {
        !matches!(trouble, Trouble::WrongSize | Trouble::NoCopy)
    }

    fn disturb(&self, device: Device, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Finish { .. } => self.gpu.finish(device.id),
            Disturbance::Lose { .. } => self.gpu.lose(device.id),
            Disturbance::FailCreations { count } => self.gpu.fail_next_creations(count),
            Disturbance::FailSubmit { may_be_in_flight } => {
                self.gpu.fail_next_submit(PresentError::OutOfMemory, may_be_in_flight);
            }
            Disturbance::FailMappings { count } => self.gpu.fail_next_mappings(count),
        }
    }

    fn lost(&self) -> Vec<DeviceId> {
        let devices = self.devices.lock();
        devices.iter().copied().filter(|device| self.gpu.is_lost(*device)).collect()
    }

    fn finish_all(&self) {
        self.devices.lock().iter().for_each(|device| self.gpu.finish(*device));
    }

    fn closure(&self, _: Device) -> Option<SubmissionIndex> {
        None
    }

    fn leftovers(&self) -> Vec<String> {
        let counts = [(self.gpu.buffers(), "buffers"), (self.gpu.textures(), "textures")];
        counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}
