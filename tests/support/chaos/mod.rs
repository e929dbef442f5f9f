//! An engine that does what random scripts say, with renderers, and an oracle that is told of all of it.
//!
//! - `step`: what hostile pages, compositors and a GPU may do;
//! - `engine`: the WebGPU thread, on any parts: a fake GPU (`src/tests/properties`) or real ones (`tests/support/real`);
//! - `renderer`: reads like WebRender, every byte.
#![allow(dead_code, unreachable_pub, reason = "each user needs a part of it")]

mod ending;
pub mod engine;
pub mod renderer;
pub mod step;

use std::time::Duration;

use webgpu_presentation::{
    ContextConfiguration, ContextId, ContextMap, FrameMemoryKind, Presenter, PresenterOptions,
};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{DeviceId, QueueId, TextureId};

use self::step::Disturbance;
use super::oracle::{Pattern, Picture, Sink, Trouble};

/// What a presenter presents with: the GPU, as far as an engine uses it.
pub trait Parts: Sized {
    fn presenter(&self, map: &ContextMap, sink: Sink, options: PresenterOptions) -> Presenter;

    /// Parts for another presenter, if there can be one.
    fn another(&self) -> Option<Self>;

    /// A device. No other one has this number.
    fn device(&mut self, number: u32) -> Device;

    /// A device and its queue are gone, without a presenter; or its queue is, if a presenter dropped it.
    fn drop_device(&self, device: Device, is_dropped: bool);

    /// Destroys a device behind the back of its presenter. False if that cannot be done.
    fn destroy_device(&self, device: Device) -> bool;

    /// A texture of a device, with this picture, unless something is wrong.
    fn texture(&mut self, device: Device, drawing: &Drawing) -> TextureId;

    /// A canvas texture of a device that the presenter makes, with this picture.
    fn canvas_texture(
        &mut self,
        presenter: &mut Presenter,
        context: ContextId,
        configuration: &ContextConfiguration,
        drawing: &Drawing,
    ) -> TextureId;

    /// Draws into a texture again. False if that cannot be done.
    fn redraw(&self, device: Device, texture: TextureId, drawing: &Drawing) -> bool;

    fn destroy_texture(&self, texture: TextureId);

    fn drop_texture(&self, texture: TextureId);

    /// Whether something can be wrong with a texture here.
    fn knows(&self, trouble: Trouble) -> bool;

    /// Something happens to the GPU.
    fn disturb(&self, device: Device, disturbance: Disturbance);

    /// Devices that were lost, and not by the engine.
    fn lost(&self) -> Vec<DeviceId>;

    /// Lets all devices finish.
    fn finish_all(&self);

    /// A closure is to run when a device is done. The result is what to wait for.
    fn closure(&self, device: Device) -> Option<SubmissionIndex>;

    /// What is left though everything has ended.
    fn leftovers(&self) -> Vec<String>;
}

#[derive(Clone, Copy, Debug)]
pub struct Device {
    pub id: DeviceId,
    pub queue: QueueId,
}

/// What is drawn into a texture. Its size may be another than what its configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    pub picture: Picture,
    pub bgra: bool,
    pub trouble: Trouble,
    /// Its device was destroyed before.
    pub lost: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub memory: FrameMemoryKind,
    pub ids: Ids,
    /// How long the WebGPU thread waits for what it submitted.
    pub spin: Duration,
    pub pattern: Pattern,
    /// Nothing is copied, so pictures are not looked at.
    pub is_blind: bool,
    /// Renderers are driven by the script, so that what the oracle knows of contexts is exact.
    pub is_exact: bool,
    pub patience: Duration,
    /// Snapshots that script keeps.
    pub most_snapshots: usize,
    /// Contexts that scripts name.
    pub contexts: u64,
    pub renderers: usize,
}

/// Which ids the engine brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    None,
    Some,
    All,
}

/// The numbers that a seed gives, each below a limit. (SplitMix64.)
pub fn random(mut seed: u64) -> impl FnMut(u32) -> u32 {
    move |limit| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(limit)) as u32
    }
}
