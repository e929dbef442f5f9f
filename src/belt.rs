//! The upload belt: many small writes from script to the GPU, few copies.
//!
//! It does what wgpu's `StagingBelt` does, on wgpu-core's ids. Writes gather in memory of the belt's; those that go on where the
//! last write to the same buffer ended become one copy. A frame goes like this:
//!
//! 1. [`write_buffer`](StagingBelt::write_buffer), [`write_texture`](StagingBelt::write_texture) or
//!    [`allocate`](StagingBelt::allocate), as often as needed;
//! 2. [`finish`](StagingBelt::finish) records the copies in an encoder (and [`flush`](StagingBelt::flush) before it, if commands
//!    in between need what was written so far);
//! 3. all encoders given to `flush` and `finish` are submitted, not earlier;
//! 4. [`recall`](StagingBelt::recall) makes the chunks, the staging buffers, usable again once the GPU has read them.
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
//! let mut belt = StagingBelt::new(global, device, queue, &BeltDescriptor::default())?;
//!
//! // Each frame:
//! belt.write_buffer(uniforms, 0, &[0; 64])?;
//! for particle in 0..1000 {
//!     belt.write_buffer(particles, particle * 16, &[1; 16])?;
//! }
//! let batch = belt.finish(encoder)?; // two copies
//! let submission = submit(encoder);
//! belt.recall(batch, submission)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! The encoder copies what was written, as if each write were a copy of its own, in the order of the calls: of two writes to the
//! same bytes the later one wins. Writes are copied where they are flushed, thus before the commands recorded after that.
//! A copy ends where a write goes on elsewhere in its buffer, and where a chunk ends. Where writes to several buffers alternate,
//! copies of more than 64 KiB may end earlier.
//!
//! # Errors
//!
//! A write that cannot be done fails alone, when it is made: bounds, usage, alignment, device and whether the destination is
//! destroyed or mapped are checked then. Destinations that become unusable later are left out of the next flush (see
//! [`FlushStats::refused`]); the encoder stays valid. Nothing panics, and no write is done in part, except on a lost device.
//!
//! Flush, and submit, before a destination is mapped, destroyed or dropped. Use an encoder of the engine's own: one that is or
//! becomes invalid takes the writes along, unnoticed. A destination that was written since the last flush is not asked again; what
//! became of it shows in `refused`.

mod error;
mod stats;
mod writes;
mod upload;
mod device;
mod chunk;
mod pool;
mod landing;
mod runs;
mod texture;
mod intake;
mod view;
mod staging_belt;

pub use self::chunk::Batch;
pub use self::error::{BeltError, RecallError, RecallMistake};
pub use self::staging_belt::StagingBelt;
pub use self::stats::{BeltDescriptor, BeltStats, FlushStats};
pub use self::view::{Allocation, WriteView};
