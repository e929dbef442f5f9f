//! The upload belt: turns many small writes to buffers and textures into few copies on the GPU.
//!
//! It does what wgpu's `StagingBelt` does, on the ids of wgpu-core. A [`StagingBelt`] serves one device, and
//! is accessed only on the thread that makes the wgpu-core calls of that device. It copies what is written
//! into staging buffers, called chunks; a write that continues where the last write to the same buffer ended
//! extends that write's copy. A frame takes four steps:
//!
//! 1. Call [`write_buffer`](StagingBelt::write_buffer), [`write_texture`](StagingBelt::write_texture) and
//!    [`allocate`](StagingBelt::allocate) as often as needed.
//! 2. Call [`finish`](StagingBelt::finish), which records the copies in an encoder. Call
//!    [`flush`](StagingBelt::flush) before commands that need what was written up to then.
//! 3. Submit all encoders that were given to `flush` and `finish`, after `finish` and not earlier.
//! 4. Call [`recall`](StagingBelt::recall), which makes the chunks usable again once the GPU has read them.
//!
//! ```no_run
//! # use std::sync::Arc;
//! use webgpu_presentation::belt::{BeltDescriptor, StagingBelt};
//! use wgpu_core::id::{BufferId, CommandEncoderId, DeviceId, QueueId};
//! # fn submit(_: CommandEncoderId) -> u64 { 0 }
//! # fn frame(
//! #     global: Arc<wgpu_core::global::Global>,
//! #     (device, queue): (DeviceId, QueueId),
//! #     (uniforms, particles): (BufferId, BufferId),
//! #     encoder: CommandEncoderId,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! // SAFETY: nothing but the belt names the belt's chunks in a call of wgpu-core.
//! let mut belt = unsafe { StagingBelt::new(global, device, queue, &BeltDescriptor::default()) }?;
//!
//! // Each frame:
//! belt.write_buffer(uniforms, 0, &[0; 64])?;
//! for particle in 0..1000 {
//!     belt.write_buffer(particles, particle * 16, &[1; 16])?;
//! }
//! let chunks = belt.finish(encoder)?; // Two copies are recorded.
//! let submission = submit(encoder);
//! belt.recall(chunks, submission)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! The bytes in every destination are those that one copy for each write would leave, in the order of the
//! calls: of two writes to the same bytes the later one wins. The copies are recorded where they are flushed,
//! and so before the commands that are recorded after the flush.
//!
//! A copy ends where the next write to its buffer begins elsewhere, and where a chunk ends. Copies of more
//! than 64 KiB may end earlier where writes to several buffers alternate.
//!
//! # Scattered writes
//!
//! Writes that are scattered over a buffer are a copy each, and wgpu-core has the GPU do copies to one buffer one
//! after the other. There is an exception: on Vulkan, if wgpu-core allocates the ids, 128 or more writes in a row
//! of the same size, up to 1 KiB, and at a constant distance take 3 to 65 copies by way of a texture, which the
//! submission keeps. Uniforms at a dynamic offset are often written like that.
//!
//! One copy of many regions, recorded through wgpu-hal, would serve all scattered writes, but is not sound with
//! wgpu-core 30:
//!
//! - An encoder takes commands of wgpu-core or of wgpu-hal, not both: `EncodingApi::set` panics, because the
//!   former are encoded when the encoder is finished. So the copy needs an encoder of its own, and cannot come
//!   between the engine's commands where it is flushed.
//! - Such an encoder tracks no resource. Nothing keeps source and destination alive until the GPU is done, and no
//!   barrier separates the copy from what was submitted before. Another encoder that names both would do that, but
//!   only if it goes into the same submission and before, and the engine submits.
//! - The destination stays uninitialized where only wgpu-hal wrote: the next use that reads it makes
//!   `BakedCommands::initialize_buffer_memory` zero those bytes. Only a command of wgpu-core for each region
//!   prevents that, and these commands are what takes the time.
//! - wgpu-hal needs both buffers at once. `Global::buffer_as_hal` guards one with the read lock of the device,
//!   which must not be taken twice on a thread; so a thread that destroys the device can free the other.
//!
//! # Errors
//!
//! A write that cannot be done fails alone, when it is made: bounds, usage, alignment and device are checked
//! then, and whether the destination is destroyed or mapped. A destination that becomes unusable later is
//! left out of the next flush (see [`FlushStats::refused`]), and the encoder stays valid. Nothing panics, and
//! no write is done in part unless the device is lost.
//!
//! The engine flushes, and submits, before a destination is mapped, destroyed or dropped. Once a destination
//! was written, further writes before the next flush may not ask wgpu-core for its state again: what became
//! of it in between shows in `refused`.
//!
//! The encoder should be the engine's own and not script's: one that is invalid, or becomes invalid, takes
//! the copies along, and the belt does not notice.

// A write travels through these files from bottom to top: `staging_belt` takes it, `intake` checks it and
// makes room, `runs` gathers it with others, `active_chunks` places it in a chunk, and `upload` copies the
// bytes. `strided` finds copies that a texture can stand for when they are recorded. Chunks come from `pool`
// and return to it. The folder imports the list of backends of `gpu` and nothing else of the crate.
mod error;
mod stats;
mod copies;
mod upload;
mod device;
mod chunk;
mod pool;
mod active_chunks;
mod runs;
mod strided;
mod texture;
mod intake;
mod view;
mod staging_belt;

pub use self::chunk::ClosedChunks;
pub use self::error::{BeltError, RecallError, RecallMistake};
pub use self::staging_belt::StagingBelt;
pub use self::stats::{BeltDescriptor, BeltStats, FlushStats};
pub use self::view::{Allocation, WriteView};
