//! The canvases of the page, and what each one is there to show.

use euclid::default::Size2D;
use webgpu_presentation::AlphaMode;
use wgpu_types::TextureFormat::{self, Bgra8Unorm, Rgba8Unorm};

use crate::painters::Picture;

pub struct Role {
    pub name: &'static str,
    pub picture: Picture,
    /// Column, row, width and height in cells of the grid.
    pub place: [i32; 4],
    pub alpha_mode: AlphaMode,
    /// Which device draws the canvas, and in which format. Each time it is created it takes the next one, in turn.
    pub looks: &'static [(usize, TextureFormat)],
    pub habit: Habit,
    /// Whether the page has a checkerboard behind the canvas.
    pub checkered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Steady,
    /// Changes its size every few frames.
    Breathing,
    /// Is destroyed and created again.
    Reborn,
    /// Presents several times in some frames, of which only the newest is shown.
    Hasty,
}

/// Upper bound of the presents of one canvas in one frame.
pub const MAX_PRESENTS: u32 = 4;
pub const DEVICES: usize = 2;
pub const COLUMNS: i32 = 4;
pub const ROWS: i32 = 3;

const STEADY: Role = Role {
    name: "",
    picture: Picture::Knot,
    place: [0, 0, 1, 1],
    alpha_mode: AlphaMode::Opaque,
    looks: &[(0, Bgra8Unorm)],
    habit: Habit::Steady,
    checkered: false,
};

pub const CAST: [Role; 8] = [
    Role { name: "torus knot", picture: Picture::Knot, place: [0, 0, 2, 2], ..STEADY },
    Role {
        name: "particles",
        picture: Picture::Particles,
        place: [2, 0, 2, 1],
        looks: &[(1, Rgba8Unorm)],
        ..STEADY
    },
    Role { name: "plasma", picture: Picture::Plasma, place: [2, 1, 1, 1], habit: Habit::Hasty, ..STEADY },
    Role {
        name: "fractal",
        picture: Picture::Fractal,
        place: [3, 1, 1, 1],
        looks: &[(1, Rgba8Unorm)],
        ..STEADY
    },
    Role {
        name: "bubbles",
        picture: Picture::Bubbles,
        place: [0, 2, 1, 1],
        alpha_mode: AlphaMode::Premultiplied,
        checkered: true,
        ..STEADY
    },
    // The canvas is opaque and its shader writes alpha below 1, so a page that used it would show the checkerboard.
    Role {
        name: "sunset",
        picture: Picture::Sunset,
        place: [1, 2, 1, 1],
        looks: &[(1, Rgba8Unorm)],
        checkered: true,
        ..STEADY
    },
    Role {
        name: "hexagons",
        picture: Picture::Hexagons,
        place: [2, 2, 1, 1],
        alpha_mode: AlphaMode::Premultiplied,
        looks: &[(0, Rgba8Unorm)],
        habit: Habit::Breathing,
        ..STEADY
    },
    Role {
        name: "fire",
        picture: Picture::Fire,
        place: [3, 2, 1, 1],
        looks: &[(1, Bgra8Unorm), (0, Rgba8Unorm)],
        habit: Habit::Reborn,
        ..STEADY
    },
];

impl Habit {
    /// Whether the canvas exists in this frame.
    pub fn is_alive(self, frame: u32) -> bool {
        // All canvases exist in the first frame, and in the last one of the default 120.
        self != Self::Reborn || (frame + 12) % 40 < 33
    }

    /// Returns how many times the canvas is drawn and presented in this frame.
    pub fn presents(self, frame: u32) -> u32 {
        if self == Self::Hasty && frame.is_multiple_of(4) { MAX_PRESENTS } else { 1 }
    }

    /// Returns the size of the canvas in this frame, at most `room`.
    pub fn size(self, frame: u32, room: Size2D<u32>) -> Size2D<u32> {
        /// Width and height in 64ths of the room: wide and tall, small, even and odd ones.
        const BREATHS: [(u32, u32); 8] =
            [(64, 64), (57, 60), (48, 63), (41, 47), (33, 39), (45, 33), (59, 44), (62, 57)];
        if self != Self::Breathing {
            return room;
        }
        let (width, height) = BREATHS[frame as usize / 5 % BREATHS.len()];
        Size2D::new(room.width * width / 64, room.height * height / 64)
    }
}

impl Role {
    /// Returns what the page says about the canvas: its formats and its alpha mode.
    pub fn caption(&self) -> String {
        let mut formats: Vec<_> = self.looks.iter().map(|(_, format)| short(*format)).collect();
        formats.dedup();
        let alpha = match self.alpha_mode {
            AlphaMode::Opaque => "opaque",
            AlphaMode::Premultiplied => "premultiplied",
        };
        format!("{} {alpha}", formats.join("/"))
    }
}

pub fn short(format: TextureFormat) -> &'static str {
    match format {
        Bgra8Unorm => "bgra8",
        Rgba8Unorm => "rgba8",
        _ => "?",
    }
}
