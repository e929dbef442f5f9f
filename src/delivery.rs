//! What is decided under the lock of a context and told without it.
//!
//! Three things leave a context: image updates for the compositor, messages for the engine and script, and the bytes that renderers read. The
//! *outbox* keeps updates and messages in order and makes the calls with no lock held. The *compositor image* is what the compositor was told
//! of one context, and decides which frame answers which update (*generations*). *Waiters* wait for presents, with deadlines.
//! *Image keys* say which context of a map is displayed under which key.
//!
//! The folder imports `frame`, `api` and `sync`. It hands out the parts of which a context consists.

mod compositor_image;
mod fallback;
mod generations;
mod image_keys;
mod outbox;
mod sharing;
mod waiters;

pub(crate) use self::compositor_image::{CompositorImage, HandlerId};
pub(crate) use self::fallback::{Fallback, LockAnswer, Locked};
pub(crate) use self::generations::{Forgotten, Generation, Generations, place_of};
pub(crate) use self::image_keys::{ImageKeys, KeyClaim};
pub(crate) use self::outbox::{Callback, Message, Outbox, Recipients, Reply, reply_with_region};
pub(crate) use self::sharing::Sharing;
pub(crate) use self::waiters::Waiters;
