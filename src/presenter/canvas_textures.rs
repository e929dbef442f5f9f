//! Canvas textures: the textures that a presenter makes for script to draw in.
//!
//! A texture that [`Presenter::create_canvas_texture`] makes has an image of the context's ring for its memory, if the
//! device has images. Presenting it copies nothing then. If there is no image for it, it is an ordinary texture.
//! Either way the presenter knows which textures a canvas has, so it can keep what was drawn when their device is
//! destroyed before they are presented.
//!
//! Accessed only on the WebGPU thread.

use std::time::{Duration, Instant};

use wgpu_core::id::{DeviceId, QueueId, TextureId};
use wgpu_core::resource::{CreateTextureError, TextureDescriptor};

use super::{LONGEST_FAREWELL, Presenter};
use crate::api::canvas::ContextConfiguration;
use crate::api::ids::ContextId;
use crate::api::report::ReadbackReason;
use crate::frame::CopyLayout;
use crate::gpu::{CopySource, Gpu, GpuDevice, ImageShape, ReadbackCopy, SubmissionIds, WaitResult};
use crate::staging::{AvailableBuffer, DrawnBuffer, LentBuffer, MappedBuffer, MappingBuffer, StagingRing};

/// Upper bound of the textures of one context that are known and not presented. Of more the oldest is presented like
/// an ordinary texture.
pub(super) const MOST_TEXTURES: usize = 4;

/// A texture that was made for a context and is not presented yet.
pub(super) struct CanvasTexture {
    pub(super) id: TextureId,
    pub(super) device: DeviceId,
    pub(super) queue: QueueId,
    /// How the texture is copied, should it be.
    layout: CopyLayout,
    pub(super) content: TextureContent,
}

/// Where the pixels of a canvas texture are.
pub(super) enum TextureContent {
    /// In an image.
    Image(DrawnBuffer),
    /// In memory of wgpu-core's, and why.
    Ordinary(ReadbackReason),
    /// The device was destroyed. What was drawn before is kept.
    Kept(KeptPixels, CopyLayout),
    /// The device was destroyed, and nothing could be done to keep what was drawn.
    NotKept,
    /// The device was destroyed, and is gone before its GPU was done with what was to be kept.
    Lost,
}

/// What was drawn in a texture whose device was destroyed.
pub(super) enum KeptPixels {
    /// The device may not be done with it.
    InFlight(MappingBuffer),
    Done(MappedBuffer),
}

impl CanvasTexture {
    pub(super) fn is_of_destroyed_device(&self) -> bool {
        matches!(self.content, TextureContent::Kept(..) | TextureContent::NotKept | TextureContent::Lost)
    }

    /// Returns the layout of what is presented where the image lies, if `layout` is a layout of its pixels.
    pub(super) fn in_place(buffer: &DrawnBuffer, layout: CopyLayout) -> Option<CopyLayout> {
        layout.in_place(&buffer.image()?)
    }
}

impl Presenter {
    /// Creates a texture for a canvas to draw in, as `Global::device_create_texture` does, and avoids the copy of its
    /// frames where it can.
    ///
    /// Such a texture is presented, read, destroyed and dropped like any other, but once: a present destroys it, so that
    /// nothing can be drawn in a frame that is shown. What is shown and read is the same, whether or not there is a copy.
    /// [`Statistics`](crate::Statistics) count the frames without a copy, and say why the last one had one.
    ///
    /// Frames are not copied on Vulkan devices of a CPU adapter, if their frames are in owned memory: the texture lies
    /// where frames are read. A canvas has at most four such textures, those that are shown, locked or held by snapshots
    /// included; further ones are ordinary. So is a texture that wgpu-core must judge, because its descriptor is not that
    /// of a plain canvas texture.
    ///
    /// The presenter remembers the four newest textures of a canvas that were neither presented nor dropped. An older one is presented
    /// like a texture that the engine has made itself, and is not kept when its device is destroyed. A texture that is never presented
    /// is destroyed or dropped through a [`batch`](Self::batch) too: `Global::texture_drop` leaves its memory with the presenter, until
    /// four more textures were made or the context ends.
    ///
    /// `configuration` has the size and the format of `descriptor`, whose usage includes `COPY_SRC`. The texture gets `id`, or one that
    /// wgpu-core allocates.
    ///
    /// # What the engine promises
    ///
    /// Render passes that may name the texture are begun with what
    /// [`DiscardedAttachments::keep`](crate::DiscardedAttachments::keep) makes of their descriptor. Otherwise a page that
    /// discards what it drew makes wgpu-core panic ("Texture … can not be cleared") in a call of the engine's.
    ///
    /// # Errors
    ///
    /// Those of wgpu-core, for the page's error scopes. The id names an invalid texture then. If there is no such context the texture
    /// is ordinary.
    pub fn create_canvas_texture(
        &mut self,
        context: ContextId,
        configuration: &ContextConfiguration,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> (TextureId, Option<CreateTextureError>) {
        span!("Presenter::create_canvas_texture");
        self.maintain_if_due();
        let ContextConfiguration { device_id: device, queue_id: queue, .. } = *configuration;
        let drawn = self.create_in_image(context, configuration, descriptor, id);
        let (id, content) = match drawn {
            Ok(Ok((id, buffer))) => (id, TextureContent::Image(buffer)),
            Ok(Err((id, error))) => return (id, Some(error)),
            Err(reason) => {
                let (id, error) = self.gpu.create_texture(device, descriptor, id);
                if error.is_some() {
                    return (id, error);
                }
                (id, TextureContent::Ordinary(reason))
            }
        };
        if let Ok(layout) = CopyLayout::of(configuration) {
            let texture = CanvasTexture { id, device, queue, layout, content };
            self.entries.add_canvas_texture(context, texture);
        }
        (id, None)
    }

    /// Creates a texture in an image of the context's ring, or says why there is none for it. wgpu-core may find the texture
    /// invalid.
    #[expect(clippy::type_complexity, reason = "three ends, each with its values")]
    fn create_in_image(
        &mut self,
        context: ContextId,
        configuration: &ContextConfiguration,
        descriptor: &TextureDescriptor<'_>,
        id: Option<TextureId>,
    ) -> Result<Result<(TextureId, DrawnBuffer), (TextureId, CreateTextureError)>, ReadbackReason> {
        let shape = ImageShape::of(descriptor).ok_or(ReadbackReason::Texture)?;
        if (shape.size, shape.format) != (configuration.size, configuration.format) {
            return Err(ReadbackReason::Configuration);
        }
        let device = self.poller.open_living(configuration.device_id).ok_or(ReadbackReason::Device)?;
        if shape.size.width.max(shape.size.height) > device.largest_texture() {
            return Err(ReadbackReason::Texture);
        }
        let gpu = self.gpu.clone();
        let entry = self.living(context).ok_or(ReadbackReason::OrdinaryTexture)?;
        let image = entry.ring.acquire_image(&*gpu, &*device, &shape)?;
        match device.create_texture_in(image.memory(), descriptor, id) {
            Some((id, None)) => Ok(Ok((id, image.drawn_in()))),
            Some((id, Some(error))) => {
                image.abandon();
                Ok(Err((id, error)))
            }
            None => {
                image.abandon();
                Err(ReadbackReason::Device)
            }
        }
    }

    /// Keeps what was drawn in the canvas textures of a device, which is about to be destroyed. Their presents show it
    /// afterwards.
    ///
    /// An ordinary texture is copied, and a copy to portable memory is waited for, for [`LONGEST_FAREWELL`] at most. A copy takes
    /// ids for an encoder, so ordinary textures are kept only if wgpu-core allocates ids.
    pub(super) fn keep_canvas_textures(&mut self, device: DeviceId) {
        let contexts = self.entries.with_canvas_textures(|texture| texture.device == device);
        let Some(gpu_device) = (!contexts.is_empty()).then(|| self.poller.open_living(device)).flatten()
        else {
            return;
        };
        // What is queued comes first, and may be of these textures.
        self.flush();
        let gpu = self.gpu.clone();
        for context in &contexts {
            let Some(entry) = self.entries.get_mut(*context) else { continue };
            for texture in entry.canvas_textures.iter_mut().filter(|texture| texture.device == device) {
                texture.keep(&mut entry.ring, &*gpu, &*gpu_device);
            }
        }
        if gpu_device.must_poll() {
            self.complete_kept(device, &*gpu_device, &contexts, Instant::now() + LONGEST_FAREWELL);
        }
    }

    /// Takes what is kept of the textures of a device from it as far as its GPU is done, because the device is about to be dropped and
    /// cannot be waited for afterwards.
    pub(super) fn release_kept(&mut self, device: DeviceId) {
        let contexts = self.entries.with_canvas_textures(|texture| texture.device == device);
        if let Some(gpu_device) = (!contexts.is_empty()).then(|| self.poller.open(device)).flatten() {
            self.complete_kept(device, &*gpu_device, &contexts, Instant::now());
        }
    }

    /// Makes what is kept of textures readable where the GPU is done with it, so that it is in flight no more.
    pub(super) fn collect_kept(&mut self) {
        let is_in_flight = |texture: &CanvasTexture| {
            matches!(texture.content, TextureContent::Kept(KeptPixels::InFlight(_), _))
        };
        for context in self.entries.with_canvas_textures(is_in_flight) {
            let Some(entry) = self.entries.get_mut(context) else { continue };
            for texture in entry.canvas_textures.iter_mut().filter(|texture| is_in_flight(texture)) {
                if let Some(device) = self.poller.open(texture.device) {
                    texture.complete(&*self.gpu, &*device, Duration::ZERO);
                }
            }
        }
    }

    /// Makes what is kept of the textures of a device readable. What the GPU has not done by `deadline` is lost.
    fn complete_kept(
        &mut self,
        device: DeviceId,
        gpu_device: &dyn GpuDevice,
        contexts: &[ContextId],
        deadline: Instant,
    ) {
        for context in contexts {
            let Some(entry) = self.entries.get_mut(*context) else { continue };
            for texture in entry.canvas_textures.iter_mut().filter(|texture| texture.device == device) {
                let time = deadline.saturating_duration_since(Instant::now());
                if !texture.complete(&*self.gpu, gpu_device, time) {
                    log::debug!("webgpu-presentation: what was drawn in {:?} is lost", texture.id);
                    texture.content = TextureContent::Lost;
                }
            }
        }
    }
}

impl CanvasTexture {
    /// Submits what it takes to keep what was drawn.
    fn keep(&mut self, ring: &mut StagingRing, gpu: &dyn Gpu, device: &dyn GpuDevice) {
        let content = std::mem::replace(&mut self.content, TextureContent::NotKept);
        let (target, layout, lent) = match &content {
            TextureContent::Image(image) => {
                let Some(layout) = Self::in_place(image, self.layout) else { return };
                (image.target(), layout, None)
            }
            TextureContent::Ordinary(_) if ring.allocates_ids() => {
                let lent = ring.acquire(gpu, device, self.layout.byte_len());
                let Ok(Some(LentBuffer { buffer, .. })) = lent else { return };
                (buffer.target(), self.layout, Some(buffer))
            }
            TextureContent::Ordinary(_) | TextureContent::NotKept => return,
            TextureContent::Kept(..) | TextureContent::Lost => {
                self.content = content;
                return;
            }
        };
        let copy = ReadbackCopy {
            source: CopySource::Texture(self.id),
            target,
            id: None,
            origin: layout.origin(),
            size: layout.size(),
            stride: layout.stride(),
        };
        let submitted = device.submit(self.queue, SubmissionIds::default(), std::slice::from_ref(&copy));
        let buffer = match (submitted, content, lent) {
            (Ok(submission), TextureContent::Image(image), _) => image.presented(submission),
            (Ok(submission), _, Some(buffer)) => buffer.submitted(submission),
            (_, _, lent) => return lent.into_iter().for_each(AvailableBuffer::abandon),
        };
        self.content = TextureContent::Kept(KeptPixels::InFlight(buffer), layout);
    }

    /// Makes what is kept readable, if the GPU has done it within `time`. Returns false if it has not.
    fn complete(&mut self, gpu: &dyn Gpu, device: &dyn GpuDevice, time: Duration) -> bool {
        let TextureContent::Kept(KeptPixels::InFlight(buffer), _) = &self.content else { return true };
        let WaitResult::Done(completed) = device.wait(buffer.submission().index, time) else { return false };
        if device.must_poll() {
            gpu.poll(self.device);
        }
        let content = std::mem::replace(&mut self.content, TextureContent::Lost);
        if let TextureContent::Kept(KeptPixels::InFlight(buffer), layout) = content
            && let Ok(buffer) = buffer.complete(&completed, layout.byte_len())
        {
            self.content = TextureContent::Kept(KeptPixels::Done(buffer), layout);
        }
        true
    }
}
