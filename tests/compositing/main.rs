//! From texture to page: real wgpu-core, real WebRender. Expected pixels are worked out by hand.
//!
//! The page is black, so premultiplied color comes out as it is: what is behind it adds nothing.

#[path = "../support/mod.rs"]
mod support;
mod stage;

mod handlers;
mod lives;
mod newest;
mod pixels;
mod shared;
mod sizes;
mod updates;
