//! What may happen. `Debug` writes a script that is Rust.

use super::super::oracle::Trouble;

/// A call of the engine, or what a compositor, a renderer or the GPU does.
///
/// `at` is one of the presenters, `device` one of the devices of each. A batch is open from a present that is `batched` until something
/// submits: the steps in between happen meanwhile.
#[derive(Clone, Copy, Debug)]
#[rustfmt::skip]
pub enum Step {
    /// With so many buffer ids of the engine's, or with wgpu-core's; displayed by a compositor, or not yet.
    Create { at: usize, context: u64, owner: u64, size: (u32, u32), ids: usize, compositor: Option<u32> },
    /// A compositor has one key for each context.
    SetKey { at: usize, context: u64, compositor: u32 },
    Present { at: usize, context: u64, epoch: u64, texture: Texture, batched: bool },
    /// Presents that follow each other at once, with reads after some of them: many are in flight then.
    Burst { at: usize, context: u64, texture: Texture, count: u32, reads: u32 },
    /// Draws into a texture that was kept, and presents it.
    Again { at: usize, context: u64, epoch: u64, kept: usize },
    /// So often.
    Clear { at: usize, context: u64, epoch: u64, size: (u32, u32), opaque: bool, times: usize },
    Submit { at: usize },
    Read { at: usize, context: u64 },
    Capture { at: usize, context: u64, texture: Texture },
    DropSnapshots,
    /// For so long, or for ever.
    Wait { context: u64, epoch: u64, milliseconds: Option<u64> },
    /// At once, or with so many transactions of its compositor from now.
    Destroy { at: usize, context: u64, after: Option<u64> },
    /// Through a presenter, or the map, by another thread.
    DestroyOwner { at: Option<usize>, owner: u64 },
    /// A compositor has done so many transactions more.
    Transactions { compositor: u32, count: u64 },
    Trim { at: usize, owner: u64 },
    Maintain { at: usize },
    /// For counts and memory, and that the closures of a device run.
    Ask { at: usize, device: usize },
    /// Through its presenter, or behind its back.
    DestroyDevice { at: usize, device: usize, directly: bool },
    /// Another one takes its place.
    DropDevice { at: usize, device: usize },
    Rest { milliseconds: u64 },
    Disturb { at: usize, device: usize, disturbance: Disturbance },
    /// Receives updates, and builds a frame in which all contexts are visible but one.
    Build { renderer: usize, hides: u64 },
    /// Renders what was built, and holds the locks or not.
    Render { renderer: usize, holds: bool },
    /// Locks an update that was told: the last of a context, or one so many before.
    Lock { renderer: usize, context: u64, before: usize, generation: bool },
    /// Takes back one of its locks.
    Unlock { renderer: usize, nth: usize },
    /// Another one takes its place, here and below.
    DropRenderer { renderer: usize },
    DropPresenter { at: usize },
}

/// What happens to a GPU that does what it is told. What is not `racing` waits until the pollers have done their part, so that a script
/// without it happens always in the same way.
#[derive(Clone, Copy, Debug)]
pub enum Disturbance {
    Finish { racing: bool },
    Lose { racing: bool },
    FailCreations { count: usize },
    FailSubmit { may_be_in_flight: bool },
    FailMappings { count: usize },
}

/// A texture that script drew.
#[derive(Clone, Copy, Debug)]
pub struct Texture {
    pub device: usize,
    pub size: (u32, u32),
    pub rgba: bool,
    pub opaque: bool,
    pub trouble: Trouble,
    /// Script does not destroy it at once.
    pub kept: bool,
}

/// What a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Two presenters, and renderers on the same thread.
    Fake,
    /// One presenter, and renderers on other threads.
    Real,
}

/// Chooses a number below a limit.
pub type Below<'a> = &'a mut dyn FnMut(u32) -> u32;

impl Stage {
    /// Contexts that pages may name, whether they exist or not.
    pub fn contexts(self) -> u64 {
        if self == Self::Fake { 4 } else { 6 }
    }

    fn at(self, below: Below) -> usize {
        if self == Self::Fake { usize::from(below(8) == 7) } else { 0 }
    }

    /// The last one is seldom there.
    fn context(self, below: Below) -> u64 {
        match self {
            Self::Fake => [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3][below(13) as usize],
            Self::Real => below(6).into(),
        }
    }

    /// The first device has most of the work.
    fn device(self, below: Below) -> usize {
        if self == Self::Fake { usize::from(below(8) == 7) } else { below(4).saturating_sub(1) as usize }
    }

    fn epoch(self, below: Below) -> u64 {
        below(if self == Self::Fake { 30 } else { 1000 }).into()
    }

    /// Most are small and few, so that most follow one of the same size; some have padded rows, some are large.
    fn size(self, below: Below) -> (u32, u32) {
        if self == Self::Fake {
            let sizes = [(4, 2), (4, 2), (4, 2), (1, 1), (9, 9), (70, 30), (5, 1)];
            return if below(30) == 29 { (0, 3) } else { sizes[below(7) as usize] };
        }
        match below(40) {
            0..=15 => (64, 48),
            16..=22 => (65, 5),
            23..=26 => (1, 1),
            27 => (7, 0),
            28..=31 => (300, 150),
            32..=36 => (1 + below(130), 1 + below(20)),
            37 => (1, 300),
            38 => (1030, 2),
            _ => (700, 500),
        }
    }

    fn texture(self, below: Below) -> Texture {
        let trouble = match below(40) {
            33 => Trouble::Invalid,
            34 => Trouble::Destroyed,
            35 => Trouble::WrongDevice,
            36 => Trouble::WrongSize,
            37 => Trouble::NoCopy,
            38 => Trouble::UnsupportedFormat,
            39 => Trouble::TooLarge,
            _ => Trouble::Good,
        };
        let (device, size) = (self.device(below), self.size(below));
        let (rgba, opaque, kept) = (below(8) == 7, below(4) == 3, below(12) == 11);
        Texture { device, size, rgba, opaque, trouble, kept }
    }

    fn create(self, below: Below) -> Step {
        let (at, context, owner) = (self.at(below), self.context(below), below(3).into());
        let ids = if self == Self::Fake { below(20).saturating_sub(14) } else { below(7) } as usize;
        let compositor = below(4);
        let compositor = (compositor > 0).then_some(compositor.div_ceil(2));
        Step::Create { at, context, owner, size: self.size(below), ids, compositor }
    }
}

impl Step {
    /// What changes least comes first: a fuzzer tries small numbers most, and a smaller script is a clearer one.
    pub fn random(stage: Stage, below: Below) -> Self {
        let kind = below(if stage == Stage::Fake { 310 } else { 200 });
        let (at, context) = (stage.at(below), stage.context(below));
        match kind {
            0..=94 => {
                let (epoch, texture) = (stage.epoch(below), stage.texture(below));
                Self::Present { at, context, epoch, texture, batched: below(2) == 1 }
            }
            95..=97 => {
                let (texture, count, reads) = (stage.texture(below), 2 + below(11), below(1 << 12));
                Self::Burst { at, context, texture, count, reads }
            }
            98..=103 => Self::Again { at, context, epoch: stage.epoch(below), kept: below(4) as usize },
            104..=114 => {
                let (epoch, size, opaque) = (stage.epoch(below), stage.size(below), below(2) == 1);
                let (too_large, many) = (below(40) == 39, stage == Stage::Fake && below(50) == 49);
                let size = if too_large { (u32::MAX, 3) } else { size };
                // More than there are generations, now and then.
                Self::Clear { at, context, epoch, size, opaque, times: if many { 300 } else { 1 } }
            }
            115..=121 => Self::Submit { at },
            122..=131 => Self::Read { at, context },
            132..=138 => Self::Capture { at, context, texture: stage.texture(below) },
            139..=140 => Self::DropSnapshots,
            141..=147 => {
                let epoch = stage.epoch(below);
                let milliseconds = match (stage, u64::from(below(5))) {
                    (Stage::Fake, 4) => Some(0),
                    (Stage::Fake, _) | (_, 0) => None,
                    (Stage::Real, time) => Some(9 * (time - 1)),
                };
                Self::Wait { context, epoch, milliseconds }
            }
            148..=159 => stage.create(below),
            160..=167 => Self::SetKey { at, context, compositor: 1 + below(2) },
            168..=171 => Self::Destroy { at, context, after: None },
            172..=175 => Self::Destroy { at, context, after: Some(below(4).into()) },
            176..=177 => Self::DestroyOwner { at: (below(3) > 0).then_some(at), owner: below(4).into() },
            178..=181 => Self::Transactions { compositor: 1 + below(2), count: below(3).into() },
            182..=184 => Self::Trim { at, owner: below(3).into() },
            185..=188 => Self::Maintain { at },
            189..=193 => Self::Ask { at, device: stage.device(below) },
            194 => Self::DestroyDevice { at, device: stage.device(below), directly: below(2) == 1 },
            195..=196 => Self::DropDevice { at, device: stage.device(below) },
            197..=199 if stage == Stage::Real => Self::Rest { milliseconds: below(6).into() },
            197..=199 => Self::Maintain { at },
            200..=232 => {
                Self::Disturb { at, device: stage.device(below), disturbance: Disturbance::random(below) }
            }
            233..=252 => Self::Build { renderer: below(3) as usize, hides: below(8).into() },
            253..=270 => Self::Render { renderer: below(3) as usize, holds: below(2) == 1 },
            271..=286 => {
                let (renderer, before, generation) =
                    (below(3) as usize, below(11).saturating_sub(3), below(10) < 9);
                Self::Lock { renderer, context, before: before as usize, generation }
            }
            287..=306 => Self::Unlock { renderer: below(3) as usize, nth: below(4) as usize },
            307..=308 => Self::DropRenderer { renderer: below(3) as usize },
            _ => Self::DropPresenter { at },
        }
    }
}

impl Disturbance {
    fn random(below: Below) -> Self {
        match below(34) {
            0..=26 => Self::Finish { racing: below(2) == 1 },
            27..=28 => Self::FailCreations { count: 1 + below(2) as usize },
            29..=30 => Self::FailSubmit { may_be_in_flight: below(5) == 4 },
            31..=32 => Self::FailMappings { count: 1 + below(2) as usize },
            _ => Self::Lose { racing: below(2) == 1 },
        }
    }
}
