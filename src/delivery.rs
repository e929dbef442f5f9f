//! What is decided under a lock and told without one: image updates, messages to the engine, and what a renderer gets.

mod compositor_image;
mod fallback;
mod generations;
mod outbox;
mod waiters;

pub(crate) use self::compositor_image::{CompositorImage, HandlerId, Locked};
pub(crate) use self::fallback::Fallback;
pub(crate) use self::generations::{Generation, Generations};
pub(crate) use self::outbox::{Callback, Message, Outbox, Recipients, Reply};
pub(crate) use self::waiters::Waiters;
