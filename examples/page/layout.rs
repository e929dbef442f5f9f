//! Where canvases hang, and what the page shows around and under them.

use euclid::default::{Point2D, Rect, Size2D};
use webrender_api::ColorF;

use crate::failure::Failure;
use crate::gallery::Backdrop;
use crate::support::page::{Item, rect};

const COLUMNS: u32 = 3;
const ROWS: u32 = 3;
const CHECK: u32 = 16;

type Rgb = [u8; 3];
const PAGE: Rgb = [17, 19, 28];
const FRAME: Rgb = [46, 51, 69];
const CELL: Rgb = [25, 28, 40];
const CHECKS: [Rgb; 2] = [[58, 63, 82], [96, 103, 128]];

/// A grid of cells with margins.
pub struct Grid {
    page: Size2D<u32>,
    margin: u32,
}

/// A coloured rectangle.
#[derive(Clone, Copy)]
pub struct Tile {
    rect: Rect<u32>,
    color: Rgb,
}

impl Grid {
    pub fn new(page: Size2D<u32>) -> Result<Self, Failure> {
        if page.width < 300 || page.height < 200 {
            return Err(Failure::TooSmall(page.width, page.height));
        }
        Ok(Self { page, margin: page.width / 40 })
    }

    /// The cell of the canvas with this index.
    pub fn cell(&self, index: usize) -> Rect<u32> {
        let margin = self.margin;
        let width = (self.page.width - margin * (COLUMNS + 1)) / COLUMNS;
        let height = (self.page.height - margin * (ROWS + 1)) / ROWS;
        let (column, row) = (index as u32 % COLUMNS, index as u32 / COLUMNS);
        let origin = Point2D::new(margin + column * (width + margin), margin + row * (height + margin));
        Rect::new(origin, Size2D::new(width, height))
    }

    /// What is painted before the canvases.
    pub fn tiles(&self, backdrops: impl IntoIterator<Item = Backdrop>) -> Vec<Tile> {
        let mut tiles = vec![Tile { rect: Rect::from_size(self.page), color: PAGE }];
        for (index, backdrop) in backdrops.into_iter().enumerate() {
            let cell = self.cell(index);
            tiles.push(Tile { rect: cell.inflate(1, 1), color: FRAME });
            tiles.push(Tile { rect: cell, color: CELL });
            if backdrop == Backdrop::Checkerboard {
                tiles.extend(checkerboard(cell));
            }
        }
        tiles
    }
}

fn checkerboard(cell: Rect<u32>) -> impl Iterator<Item = Tile> {
    let rows = (cell.min_y()..cell.max_y()).step_by(CHECK as usize).enumerate();
    rows.flat_map(move |(row, y)| {
        let columns = (cell.min_x()..cell.max_x()).step_by(CHECK as usize).enumerate();
        columns.map(move |(column, x)| {
            let size = Size2D::new(CHECK.min(cell.max_x() - x), CHECK.min(cell.max_y() - y));
            Tile { rect: Rect::new(Point2D::new(x, y), size), color: CHECKS[(row + column) % 2] }
        })
    })
}

/// A canvas of this size in the middle of a cell.
pub fn centre(cell: Rect<u32>, size: Size2D<u32>) -> Rect<u32> {
    let slack = cell.size - size;
    Rect::new(cell.origin + slack.to_vector() / 2, size)
}

impl Tile {
    pub fn item(&self) -> Item {
        let [red, green, blue] = self.color.map(|value| f32::from(value) / 255.0);
        let Rect { origin, size } = self.rect.to_f32();
        Item::Rect(rect(origin.x, origin.y, size.width, size.height), ColorF::new(red, green, blue, 1.0))
    }
}

/// The page without its canvases, as RGBA.
pub fn paint(page: Size2D<u32>, tiles: &[Tile]) -> Vec<u8> {
    let mut pixels = vec![0; (page.area() * 4) as usize];
    let stride = page.width as usize * 4;
    for Tile { rect, color: [red, green, blue] } in tiles {
        let columns = rect.min_x() as usize * 4..rect.max_x() as usize * 4;
        let row = [*red, *green, *blue, 255].repeat(rect.width() as usize);
        for y in rect.min_y()..rect.max_y() {
            pixels[y as usize * stride..][columns.clone()].copy_from_slice(&row);
        }
    }
    pixels
}
