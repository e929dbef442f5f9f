//! Submits copies from textures to buffers, and translates wgpu-core's errors.
//!
//! Devices of every backend call [`submit`] on the WebGPU thread. The command encoder and the command buffer
//! that it creates have left the hub when it returns, with or without an error, and also if wgpu-core panics: the
//! engine gets their ids back. The buffers that copies go to are in the hub already, each under an id that the
//! caller names.

use arrayvec::ArrayVec;
use wgpu_core::command::{CommandEncoderError, TransitionResourcesError};
use wgpu_core::device::DeviceError;
use wgpu_core::device::queue::{QueueSubmitError, QueueWriteError};
use wgpu_core::global::Global;
use wgpu_core::id::{BufferId, CommandBufferId, CommandEncoderId, DeviceId, QueueId};
use wgpu_types as wgt;

use super::{CopySource, ReadbackCopy, Submission, SubmissionIds, SubmitError};
use crate::api::error::PresentError;
use crate::api::ids::EncoderIds;
use crate::sync::catch_panic;

/// Records `copies` and submits them. Each copy goes to the buffer with the id that has its place in `buffers`; where
/// there is none, nothing is copied to a buffer in the hub. If nothing is recorded at all, the submission is empty: it
/// still follows all that was submitted and written before.
///
/// `record_shared` records the copies to and from shared images in an encoder of their own, because wgpu-core allows raw
/// commands in no other.
pub(super) fn submit(
    global: &Global,
    device: DeviceId,
    queue: QueueId,
    ids: SubmissionIds,
    copies: &[ReadbackCopy],
    buffers: &[Option<BufferId>],
    record_shared: impl Fn(CommandEncoderId) -> Result<(), PresentError>,
) -> Result<Submission, SubmitError> {
    let refused = |reason| SubmitError { reason, may_be_in_flight: false };
    let mut command_buffers = ArrayVec::<_, 2>::new();
    let recorded = (|| {
        if buffers.iter().any(Option::is_some) {
            let copies = |encoder| record_copies(global, encoder, copies, buffers);
            command_buffers.push(record(global, device, ids.first, copies)?);
        }
        if copies.iter().any(ReadbackCopy::is_shared) {
            command_buffers.push(record(global, device, ids.second, record_shared)?);
        }
        match copies.first() {
            Some(copy) if command_buffers.is_empty() => check_device(global, queue, copy),
            _ => Ok(()),
        }
    })();
    let submit = || global.queue_submit(queue, &command_buffers).map_err(|(_, error)| submit_error(error));
    let submitted = match recorded {
        Ok(()) => catch_panic("wgpu-core, or a closure of the engine in queue_submit,", submit),
        Err(reason) => Some(Err(refused(reason))),
    };
    for command_buffer in command_buffers {
        catch_panic("wgpu-core", || global.command_buffer_drop(command_buffer));
    }
    match submitted {
        Some(Ok(index)) => Ok(Submission { device, index }),
        Some(Err(error)) => Err(error),
        // The last thing that `queue_submit` does is to run closures of the engine's. If one panics the work was
        // accepted, but its index is lost, so nothing can wait for it.
        None => Err(SubmitError { reason: PresentError::Panicked, may_be_in_flight: true }),
    }
}

/// Returns an error if the device is lost or destroyed. An encoder would tell, but takes ids; and an error of a submission does not say
/// whether anything was submitted.
pub(super) fn check_device(global: &Global, queue: QueueId, copy: &ReadbackCopy) -> Result<(), PresentError> {
    let CopySource::Texture(texture) = copy.source else { return Ok(()) };
    let destination = wgt::TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: wgt::Origin3d::ZERO,
        aspect: wgt::TextureAspect::All,
    };
    let (layout, nothing) =
        (wgt::TexelCopyBufferLayout::default(), wgt::Extent3d { width: 0, ..Default::default() });
    // wgpu-core looks at the device first. The texture may refuse the write for other reasons.
    let write = || global.queue_write_texture(queue, &destination, &[], &layout, &nothing);
    match catch_panic("wgpu-core", write) {
        Some(Err(QueueWriteError::Queue(error))) => Err(device_error(&error)),
        Some(_) => Ok(()),
        None => Err(PresentError::Panicked),
    }
}

/// Records with `commands` and returns the command buffer. If wgpu-core panics, at a texture or a device that it does not
/// know for instance, nothing was submitted, and the encoder is dropped as after an error.
fn record(
    global: &Global,
    device: DeviceId,
    ids: Option<EncoderIds>,
    commands: impl FnOnce(CommandEncoderId) -> Result<(), PresentError>,
) -> Result<CommandBufferId, PresentError> {
    let label = wgt::CommandEncoderDescriptor { label: Some("canvas present".into()) };
    let create = || global.device_create_command_encoder(device, &label, ids.map(|ids| ids.command_encoder));
    let (encoder, error) = catch_panic("wgpu-core", create).ok_or(PresentError::Panicked)?;
    let finished = catch_panic("wgpu-core", || {
        match error {
            Some(error) => return Err(device_error(&error)),
            None => commands(encoder)?,
        }
        let (command_buffer, error) = global.command_encoder_finish(
            encoder,
            &wgt::CommandBufferDescriptor::default(),
            ids.map(|ids| ids.command_buffer),
        );
        match error {
            Some((_, error)) => {
                global.command_buffer_drop(command_buffer);
                Err(encoder_error(error))
            }
            None => Ok(command_buffer),
        }
    });
    catch_panic("wgpu-core", || global.command_encoder_drop(encoder));
    finished.unwrap_or(Err(PresentError::Panicked))
}

/// Records all copies, and then one barrier for all of them: for each barrier wgpu-core visits every buffer
/// of the device.
fn record_copies(
    global: &Global,
    encoder: CommandEncoderId,
    copies: &[ReadbackCopy],
    buffers: &[Option<BufferId>],
) -> Result<(), PresentError> {
    let copied = || copies.iter().zip(buffers).filter_map(|(copy, buffer)| Some((copy, (*buffer)?)));
    copied().try_for_each(|(copy, buffer)| record_copy(global, encoder, copy, buffer))?;
    // The barrier to MAP_READ makes the copied bytes visible to the CPU. wgpu-core inserts none for owned
    // memory, because it never maps that.
    // What goes on to a shared image is read by raw commands, of which wgpu-core does not know either.
    let readable = copied().map(|(copy, buffer)| wgt::BufferTransition {
        buffer,
        state: match copy.is_shared() {
            true => wgt::BufferUses::COPY_SRC,
            false => wgt::BufferUses::MAP_READ,
        },
    });
    let recorded = global.command_encoder_transition_resources(encoder, readable, std::iter::empty());
    recorded.map_err(|error| encoder_error(error.into()))
}

fn record_copy(
    global: &Global,
    encoder: CommandEncoderId,
    copy: &ReadbackCopy,
    buffer: BufferId,
) -> Result<(), PresentError> {
    let CopySource::Texture(texture) = copy.source else { return Ok(()) };
    let source = wgt::TexelCopyTextureInfo {
        texture,
        mip_level: 0,
        origin: wgt::Origin3d { x: copy.origin.x, y: copy.origin.y, z: 0 },
        aspect: wgt::TextureAspect::All,
    };
    let layout =
        wgt::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(copy.stride), rows_per_image: None };
    let destination = wgt::TexelCopyBufferInfo { buffer, layout };
    let size = wgt::Extent3d { width: copy.size.width, height: copy.size.height, depth_or_array_layers: 1 };
    let recorded = global.command_encoder_copy_texture_to_buffer(encoder, &source, &destination, &size);
    recorded.map_err(|error| encoder_error(error.into()))
}

pub(super) fn device_error(error: &DeviceError) -> PresentError {
    match error {
        DeviceError::OutOfMemory => PresentError::OutOfMemory,
        DeviceError::DeviceMismatch(_) => PresentError::WrongDevice,
        _ => PresentError::DeviceLost,
    }
}

/// Translates an error of `queue_submit`, and says whether the GPU may have accepted the work.
fn submit_error(error: QueueSubmitError) -> SubmitError {
    let (reason, may_be_in_flight) = match error {
        // Among the known errors, only those of the queue can arise after the driver has accepted the work.
        QueueSubmitError::Queue(error) => {
            (device_error(&error), !matches!(error, DeviceError::DeviceMismatch(_)))
        }
        QueueSubmitError::DestroyedResource(_) => (PresentError::TextureDestroyed, false),
        QueueSubmitError::InvalidResource(_) => (PresentError::TextureInvalid, false),
        QueueSubmitError::CommandEncoder(error) => (encoder_error(error), false),
        error => {
            log::error!("webgpu-presentation: unexpected error of queue_submit: {error}");
            (PresentError::DeviceLost, true)
        }
    };
    SubmitError { reason, may_be_in_flight }
}

/// Translates an error of recording commands. The GPU has accepted nothing then.
fn encoder_error(error: CommandEncoderError) -> PresentError {
    match &error {
        CommandEncoderError::Device(error) => device_error(error),
        CommandEncoderError::InvalidResource(_)
        | CommandEncoderError::TransitionResources(TransitionResourcesError::InvalidResource(_)) => {
            PresentError::TextureInvalid
        }
        CommandEncoderError::DestroyedResource(_) => PresentError::TextureDestroyed,
        _ => PresentError::Refused(Box::new(error)),
    }
}
