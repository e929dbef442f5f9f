//! The contact sheet: every page, as published and on this crate, side by side.
//!
//! Each cell has the name of a page, its last screenshot in both builds, and how it went. Places where a check failed have a red
//! frame, or an orange one if it is a limit of Servo's own.

use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, FilterType as Scaling};
use image::{Rgb, RgbImage};

use servo_browser::report::Report;

use crate::error::SuiteError;
use crate::lettering::{self, LETTER};
use crate::results::{Results, Row};
use crate::tables;

/// How large a screenshot is on the sheet, in pixels.
const SHOT: (u32, u32) = (200, 150);
/// Room between things, in pixels.
const GAP: u32 = 6;
/// A line of words, in pixels.
const LINE: u32 = LETTER + 4;
const CELL: (u32, u32) = (2 * SHOT.0 + 2 * GAP, SHOT.1 + 2 * LINE + GAP);
const COLUMNS: u32 = 4;

const PAPER: Rgb<u8> = Rgb([246, 246, 246]);
const INK: Rgb<u8> = Rgb([32, 32, 32]);
const GOOD: Rgb<u8> = Rgb([0, 120, 60]);
const BAD: Rgb<u8> = Rgb([210, 0, 0]);
const LIMITED: Rgb<u8> = Rgb([210, 120, 0]);

/// Writes the contact sheet.
pub(crate) fn write(results: &Results, file: &Path) -> Result<(), SuiteError> {
    let cells = u32::try_from(results.rows.len()).unwrap_or(u32::MAX);
    let columns = COLUMNS.min(cells.max(1));
    let (width, height) = (GAP + columns * (CELL.0 + GAP), GAP + cells.div_ceil(columns) * CELL.1);
    let mut sheet = RgbImage::from_pixel(width, height + LINE, PAPER);
    let heading = "each page: left as published, right on this crate";
    lettering::write(&mut sheet, (GAP, GAP / 2), width - GAP, heading, INK);
    for (row, index) in results.rows.iter().zip(0..) {
        let at = (GAP + index % columns * (CELL.0 + GAP), LINE + GAP + index / columns * CELL.1);
        draw(&mut sheet, at, row)?;
    }
    save(&sheet, file)
}

fn draw(sheet: &mut RgbImage, (x, y): (u32, u32), row: &Row) -> Result<(), SuiteError> {
    lettering::write(sheet, (x, y), CELL.0, &row.page, INK);
    for (report, column) in [row.published.as_ref(), Some(&row.adapted)].into_iter().zip(0..) {
        let Some(report) = report else { continue };
        let (x, y) = (x + column * (SHOT.0 + GAP), y + LINE);
        let picture = picture(report)?;
        imageops::replace(sheet, &picture, x.into(), y.into());
        let color = if !report.is_right() {
            BAD
        } else if report.limited().next().is_some() {
            LIMITED
        } else {
            GOOD
        };
        let verdict = tables::verdict(report);
        // There is room for no more words.
        let words = verdict.split(", ").take(2).collect::<Vec<_>>().join(", ");
        lettering::write(sheet, (x, y + SHOT.1 + 2), SHOT.0, &words, color);
    }
    Ok(())
}

/// Returns the last screenshot as it stands on the sheet, with the failed checks marked.
fn picture(report: &Report) -> Result<RgbImage, SuiteError> {
    let Some(shot) = report.screenshots.last() else {
        return Ok(RgbImage::from_pixel(SHOT.0, SHOT.1, Rgb([200, 200, 200])));
    };
    let full = image::open(&shot.file)
        .map_err(|source| SuiteError::Picture { path: shot.file.clone(), source })?
        .into_rgb8();
    let mut picture = imageops::resize(&full, SHOT.0, SHOT.1, Scaling::Triangle);
    for (checks, color) in
        [(report.limited().collect::<Vec<_>>(), LIMITED), (report.failed().collect::<Vec<_>>(), BAD)]
    {
        let here = checks.iter().filter_map(|check| check.place.as_ref());
        for place in here.filter(|place| place.screenshot == shot.name) {
            let scaled = |at: i64, from: u32, to: u32| at * i64::from(to) / i64::from(from.max(1));
            let at = (scaled(place.x, full.width(), SHOT.0), scaled(place.y, full.height(), SHOT.1));
            frame(&mut picture, at, color);
        }
    }
    Ok(picture)
}

/// Draws a small square around a place, as far as it is on the picture.
fn frame(picture: &mut RgbImage, (x, y): (i64, i64), color: Rgb<u8>) {
    const REACH: i64 = 4;
    for offset in -REACH..=REACH {
        for (dx, dy) in [(offset, -REACH), (offset, REACH), (-REACH, offset), (REACH, offset)] {
            let at = (u32::try_from(x + dx), u32::try_from(y + dy));
            if let (Ok(x), Ok(y)) = at
                && let Some(pixel) = picture.get_pixel_mut_checked(x, y)
            {
                *pixel = color;
            }
        }
    }
}

fn save(sheet: &RgbImage, path: &Path) -> Result<(), SuiteError> {
    let file =
        std::fs::File::create(path).map_err(|source| SuiteError::Write { path: path.to_owned(), source })?;
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    sheet.write_with_encoder(encoder).map_err(|source| SuiteError::Picture { path: path.to_owned(), source })
}
