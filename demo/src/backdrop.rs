//! The page behind the canvases: rectangles, which WebRender paints and the check paints too.

use webrender_api::ColorF;
use webrender_api::units::{DeviceIntPoint, DeviceIntRect, DeviceIntSize};

use crate::cast::{CAST, COLUMNS, ROWS, Role};
use crate::lettering::{self, letters};
use crate::support::page::{Item, rect, region};

type Rgb = [u8; 3];

const PAGE: Rgb = [11, 13, 19];
const CARD: Rgb = [20, 24, 35];
const BORDER: Rgb = [36, 42, 58];
const TITLE: Rgb = [222, 228, 240];
const NAME: Rgb = [176, 186, 206];
const NOTE: Rgb = [98, 108, 132];
const ACCENT: Rgb = [86, 204, 242];
const SQUARES: [Rgb; 2] = [[58, 65, 84], [84, 92, 114]];

const GAP: i32 = 14;
const HEADER: i32 = 46;
/// Height below each canvas, within its card.
const CAPTION: i32 = 21;
const SQUARE: i32 = 11;

pub struct Backdrop {
    size: DeviceIntSize,
    rects: Vec<(DeviceIntRect, Rgb)>,
}

/// The part of the page that belongs to a canvas of the cast.
#[derive(Clone, Copy)]
pub struct Cell {
    /// The whole cell, with border and caption.
    pub card: DeviceIntRect,
    /// What the canvas may fill.
    pub room: DeviceIntRect,
}

impl Cell {
    pub fn of(role: &Role, page: DeviceIntSize) -> Self {
        let [column, row, columns, rows] = role.place;
        // Each edge is rounded by itself, so that the pixels left over are spread over all cells.
        let x = |column: i32| GAP + (page.width - GAP) * column / COLUMNS;
        let y = |row: i32| HEADER + (page.height - HEADER) * row / ROWS;
        let min = DeviceIntPoint::new(x(column), y(row));
        let max = DeviceIntPoint::new(x(column + columns) - GAP, y(row + rows) - GAP);
        let card = DeviceIntRect::new(min, max);
        let mut room = card.inflate(-1, -1);
        room.max.y -= CAPTION;
        Self { card, room }
    }

    /// Returns where a canvas of this size lies: in the middle of the room.
    pub fn place(&self, width: i32, height: i32) -> DeviceIntRect {
        let x = self.room.min.x + (self.room.width() - width) / 2;
        let y = self.room.min.y + (self.room.height() - height) / 2;
        region(x, y, width, height)
    }
}

impl Backdrop {
    pub fn new(size: DeviceIntSize) -> Self {
        let mut backdrop = Self { size, rects: vec![(size.into(), PAGE)] };
        backdrop.rects.push((region(GAP, 17, 4, 14), ACCENT));
        backdrop.write(GAP + 12, 17, 2, "webgpu-presentation", TITLE);
        let note = "wgpu-core > webrender";
        backdrop.write(size.width - GAP - lettering::width(note), 22, 1, note, NOTE);
        for role in &CAST {
            backdrop.card(role);
        }
        backdrop
    }

    fn card(&mut self, role: &Role) {
        let Cell { card, room } = Cell::of(role, self.size);
        self.rects.push((card, BORDER));
        self.rects.push((card.inflate(-1, -1), CARD));
        if role.checkered {
            self.checker(room);
        }
        let (note, y) = (role.caption(), room.max.y + 7);
        self.rects.push((region(room.min.x + 7, y + 2, 3, 3), ACCENT));
        self.write(room.min.x + 15, y, 1, role.name, NAME);
        let (left, right) = (room.min.x + 15 + lettering::width(role.name), room.max.x - 8);
        let start = right - lettering::width(&note);
        // On a narrow page the name alone fits.
        if start > left + 8 {
            self.write(start, y, 1, &note, NOTE);
        }
    }

    fn checker(&mut self, room: DeviceIntRect) {
        self.rects.push((room, SQUARES[0]));
        for (row, y) in (room.min.y..room.max.y).step_by(SQUARE as usize).enumerate() {
            let first = room.min.x + if row % 2 == 0 { 0 } else { SQUARE };
            for x in (first..room.max.x).step_by(2 * SQUARE as usize) {
                let square = region(x, y, SQUARE, SQUARE).intersection_unchecked(&room);
                self.rects.push((square, SQUARES[1]));
            }
        }
    }

    fn write(&mut self, x: i32, y: i32, scale: i32, text: &str, color: Rgb) {
        for run in letters(text) {
            let (x, y) = (x + run.x * scale, y + run.y * scale);
            self.rects.push((region(x, y, run.width * scale, scale), color));
        }
    }

    pub fn items(&self) -> impl Iterator<Item = Item> {
        self.rects.iter().map(|(area, color)| {
            let [r, g, b] = color.map(|channel| f32::from(channel) / 255.0);
            Item::Rect(layout(*area), ColorF::new(r, g, b, 1.0))
        })
    }

    /// Returns every pixel of the page without canvases, row after row from the top.
    pub fn pixels(&self) -> Vec<Rgb> {
        let width = self.size.width as usize;
        let mut pixels = vec![[0; 3]; width * self.size.height as usize];
        for (area, color) in &self.rects {
            for row in pixels.chunks_exact_mut(width).take(area.max.y as usize).skip(area.min.y as usize) {
                row[area.min.x as usize..area.max.x as usize].fill(*color);
            }
        }
        pixels
    }
}

/// Converts device pixels to layout pixels, which are the same here.
pub fn layout(area: DeviceIntRect) -> webrender_api::units::LayoutRect {
    rect(area.min.x as f32, area.min.y as f32, area.width() as f32, area.height() as f32)
}
