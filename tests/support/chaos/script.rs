//! What pages ask for: any order, any size, any context id.

use webgpu_presentation::AlphaMode;
use wgpu_types::TextureFormat;

use super::choices::Choices;

/// Contexts that pages may name, whether they exist or not.
pub const SLOTS: u32 = 6;

/// Whose they are.
pub const OWNERS: u32 = 3;

/// What an engine hears from its pages. Devices are numbers, to be taken modulo those that there are.
#[derive(Clone, Debug)]
pub enum Message {
    /// With so many buffer ids, if the engine brings its own; 0 is too few. Displayed at once or not.
    Create {
        slot: u32,
        size: (u32, u32),
        buffers: u32,
        displayed: bool,
    },
    SetKey {
        slot: u32,
        fresh: bool,
    },
    Present {
        slot: u32,
        image: Image,
        epoch: u64,
    },
    /// Draws once more into a texture that was kept, and presents it.
    PresentAgain {
        slot: u32,
        kept: u32,
        epoch: u64,
    },
    /// Presents that follow each other at once, with reads after some of them: many are in flight then.
    Burst {
        slot: u32,
        image: Image,
        count: u32,
        reads: u32,
    },
    Clear {
        slot: u32,
        size: (u32, u32),
        alpha_mode: AlphaMode,
        epoch: u64,
    },
    Read {
        slot: u32,
    },
    Capture {
        slot: u32,
        image: Image,
    },
    Destroy {
        slot: u32,
    },
    /// All contexts of an owner go, by way of the WebGPU thread or not.
    DestroyOwner {
        owner: u32,
        elsewhere: bool,
    },
    /// The context goes, its image only with a transaction of the compositor.
    Linger {
        slot: u32,
    },
    /// The compositor has done some of those transactions.
    DoTransactions {
        count: u32,
    },
    /// Waits for a present; 0 milliseconds are for ever, if there is such a context.
    Wait {
        slot: u32,
        epoch: u64,
        milliseconds: u32,
    },
    Trim {
        owner: u32,
    },
    CreateDevice,
    /// Through the presenter, or behind its back.
    DestroyDevice {
        device: u32,
        directly: bool,
    },
    DropDevice {
        device: u32,
    },
    /// A closure of the engine's, to run once the device is done with what it has.
    Closure {
        device: u32,
    },
    Maintain,
    Rest {
        milliseconds: u32,
    },
}

/// A texture that script drew.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    pub device: u32,
    pub size: (u32, u32),
    pub format: TextureFormat,
    pub alpha_mode: AlphaMode,
    pub trouble: Trouble,
    /// Script does not destroy it at once.
    pub keep: bool,
}

/// What is wrong with a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// An error texture.
    Invalid,
    /// Destroyed before.
    Destroyed,
    /// Another device's than its configuration says.
    WrongDevice,
    /// Smaller than its configuration says.
    WrongSize,
    /// Not to be copied from.
    NoCopy,
    /// Its configuration says that it is huge.
    Huge,
    /// Its configuration says that it has no pixels.
    Empty,
}

impl Message {
    pub fn random(choices: &mut impl Choices) -> Self {
        let slot = choices.below(SLOTS);
        let epoch = u64::from(choices.below(1000));
        // What changes least comes first: a fuzzer tries small numbers most.
        match choices.below(220) {
            0..=115 => Self::Present { slot, image: Image::random(choices), epoch },
            116..=119 => {
                let (image, count, reads) =
                    (Image::random(choices), 2 + choices.below(11), choices.below(1 << 12));
                Self::Burst { slot, image, count, reads }
            }
            120..=127 => Self::PresentAgain { slot, kept: choices.below(4), epoch },
            128..=135 => {
                let size = if choices.one_in(8) { (0, 7) } else { size(choices) };
                let size = if choices.one_in(30) { (u32::MAX, 3) } else { size };
                Self::Clear { slot, size, alpha_mode: alpha_mode(choices), epoch }
            }
            136..=151 => Self::Read { slot },
            152..=161 => Self::Capture { slot, image: Image::random(choices) },
            162..=171 => {
                let (buffers, displayed) = (choices.below(7), !choices.one_in(4));
                Self::Create { slot, size: size(choices), buffers, displayed }
            }
            172..=175 => Self::Destroy { slot },
            176..=179 => Self::SetKey { slot, fresh: choices.below(4) != 0 },
            180..=185 => Self::Closure { device: choices.below(4) },
            186..=190 => Self::Maintain,
            191..=193 => Self::Rest { milliseconds: choices.below(6) },
            194..=195 => Self::CreateDevice,
            196 => Self::DestroyDevice { device: choices.below(4), directly: choices.one_in(2) },
            200..=202 => Self::Linger { slot },
            203..=205 => Self::DoTransactions { count: choices.below(3) },
            206..=207 => Self::DestroyOwner { owner: slot, elsewhere: choices.one_in(2) },
            208..=215 => Self::Wait { slot, epoch, milliseconds: choices.below(4) * 9 },
            216..=219 => Self::Trim { owner: slot },
            _ => Self::DropDevice { device: choices.below(4) },
        }
    }

    /// Whether an engine gathers it in a batch.
    pub fn is_batched(&self) -> bool {
        matches!(self, Self::Present { .. } | Self::Clear { .. })
    }
}

impl Image {
    fn random(choices: &mut impl Choices) -> Self {
        let trouble = match choices.below(40) {
            33 => Trouble::Invalid,
            34 => Trouble::Destroyed,
            35 => Trouble::WrongDevice,
            36 => Trouble::WrongSize,
            37 => Trouble::NoCopy,
            38 => Trouble::Huge,
            39 => Trouble::Empty,
            _ => Trouble::None,
        };
        Self {
            // The first device has most of the work.
            device: choices.below(4).saturating_sub(1),
            size: size(choices),
            format: if choices.one_in(4) { TextureFormat::Rgba8Unorm } else { TextureFormat::Bgra8Unorm },
            alpha_mode: alpha_mode(choices),
            trouble,
            keep: choices.one_in(12),
        }
    }
}

/// Most are small and few, so that most follow one of the same size; some are above a row's padding, some large.
fn size(choices: &mut impl Choices) -> (u32, u32) {
    match choices.below(40) {
        0..=15 => (64, 48),
        16..=22 => (65, 5),
        23..=27 => (1, 1),
        28..=31 => (300, 150),
        32..=36 => (1 + choices.below(130), 1 + choices.below(20)),
        37 => (1, 300),
        38 => (1030, 2),
        _ => (700, 500),
    }
}

fn alpha_mode(choices: &mut impl Choices) -> AlphaMode {
    if choices.one_in(3) { AlphaMode::Opaque } else { AlphaMode::Premultiplied }
}
