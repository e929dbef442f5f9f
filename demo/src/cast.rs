//! The canvases of the page, and what each one is there to show.

use euclid::default::Size2D;
use webgpu_presentation::AlphaMode;
use wgpu_types::TextureFormat::{self, Bgra8Unorm, Rgba8Unorm};

use crate::painters::Picture;

pub struct Role {
    pub name: &'static str,
    pub picture: Picture,
    /// Column, row, columns, rows of the grid.
    pub place: [i32; 4],
    pub alpha_mode: AlphaMode,
    /// One after the other, each time the canvas is created: which device draws it, and in which format.
    pub looks: &'static [(usize, TextureFormat)],
    pub habit: Habit,
    /// Whether the page has a checkerboard behind it.
    pub checkered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Steady,
    /// Changes its size every few frames.
    Breathing,
    /// Is destroyed and created again.
    Reborn,
    /// Presents several times a frame now and then: only the newest counts.
    Hasty,
}

/// In one frame, of one canvas.
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
    // If its alpha were used, the checkerboard would shine through.
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
    /// Whether the canvas is there.
    pub fn is_alive(self, frame: u32) -> bool {
        // The first frame and the last of the default hundred and twenty show all canvases.
        self != Self::Reborn || (frame + 12) % 40 < 33
    }

    /// How many times the canvas is drawn and presented.
    pub fn presents(self, frame: u32) -> u32 {
        if self == Self::Hasty && frame.is_multiple_of(4) { MAX_PRESENTS } else { 1 }
    }

    /// The size of the canvas, at most `room`.
    pub fn size(self, frame: u32, room: Size2D<u32>) -> Size2D<u32> {
        /// Of the room, in 64ths: wide, tall, small, even, odd.
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
    /// What the page says about it.
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
