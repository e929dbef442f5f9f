//! The contact sheet: every page, as published and on this crate, side by side.
//!
//! Each cell has the name of a page, one of its screenshots in both builds, and how it went. The screenshot is the one with the most
//! failed checks, or the last one. Places where a check failed have a red frame, or an orange one if it is a limit of Servo's own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::{self, FilterType as Scaling};
use image::{Rgb, RgbImage};

use servo_browser::report::{Check, Report};

use crate::error::SuiteError;
use crate::lettering::{self, LETTER};
use crate::results::{Results, Row};
use crate::tables;

/// How wide a screenshot is on the sheet, in pixels.
const WIDTH: u32 = 200;
/// The least height of a screenshot on the sheet, in pixels.
const MIN_HEIGHT: u32 = 40;
/// Room between things, in pixels.
const GAP: u32 = 6;
/// A line of words, in pixels.
const LINE: u32 = LETTER + 4;
const COLUMNS: u32 = 4;
const CELL_WIDTH: u32 = 2 * WIDTH + 2 * GAP;

const PAPER: Rgb<u8> = Rgb([236, 236, 236]);
const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const NO_PICTURE: Rgb<u8> = Rgb([190, 190, 190]);
const INK: Rgb<u8> = Rgb([32, 32, 32]);
const GOOD: Rgb<u8> = Rgb([0, 120, 60]);
const BAD: Rgb<u8> = Rgb([210, 0, 0]);
const LIMITED: Rgb<u8> = Rgb([210, 120, 0]);

/// A page on the sheet.
struct Cell<'a> {
    row: &'a Row,
    /// As published and on this crate, as far as there are screenshots.
    pictures: [Option<RgbImage>; 2],
}

/// Writes the contact sheet.
pub(crate) fn write(results: &Results, file: &Path) -> Result<(), SuiteError> {
    let cells = results.rows.iter().map(Cell::new).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<&[Cell]> = cells.chunks(COLUMNS as usize).collect();
    let heights: Vec<u32> = lines.iter().map(|line| height(line)).collect();
    let width = GAP + COLUMNS * (CELL_WIDTH + GAP);
    let height = LINE + GAP + heights.iter().map(|height| height + 2 * LINE + GAP).sum::<u32>();
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    let heading = "each page: left as published, right on this crate";
    lettering::write(&mut sheet, (GAP, GAP / 2), width - GAP, heading, INK);
    let mut y = LINE + GAP;
    for (line, height) in lines.iter().zip(heights) {
        for (cell, column) in line.iter().zip(0..) {
            cell.draw(&mut sheet, (GAP + column * (CELL_WIDTH + GAP), y), height);
        }
        y += height + 2 * LINE + GAP;
    }
    save(&sheet, file)
}

impl<'a> Cell<'a> {
    fn new(row: &'a Row) -> Result<Self, SuiteError> {
        let name = telling_screenshot(row);
        let picture = |report: Option<&Report>| match (report, &name) {
            (Some(report), Some(name)) => picture(report, name),
            _ => Ok(None),
        };
        Ok(Self { row, pictures: [picture(row.published.as_ref())?, picture(Some(&row.adapted))?] })
    }

    fn draw(&self, sheet: &mut RgbImage, (x, y): (u32, u32), height: u32) {
        lettering::write(sheet, (x, y), CELL_WIDTH, &self.row.page, INK);
        let reports = [self.row.published.as_ref(), Some(&self.row.adapted)];
        for ((report, picture), column) in reports.into_iter().zip(&self.pictures).zip(0..) {
            let Some(report) = report else { continue };
            let (x, y) = (x + column * (WIDTH + GAP), y + LINE);
            let color = if picture.is_some() { WHITE } else { NO_PICTURE };
            let mut frame = RgbImage::from_pixel(WIDTH, height, color);
            if let Some(picture) = picture {
                imageops::replace(&mut frame, picture, 0, 0);
            }
            imageops::replace(sheet, &frame, x.into(), y.into());
            let verdict = tables::verdict(report);
            // There is room for no more words.
            let words = verdict.split(", ").take(2).collect::<Vec<_>>().join(", ");
            lettering::write(sheet, (x, y + height + 2), WIDTH, &words, color_of(report));
        }
    }
}

/// Returns how high the screenshots of a line are: as high as the highest of them has anything but white.
fn height(line: &[Cell]) -> u32 {
    let pictures = line.iter().flat_map(|cell| cell.pictures.iter().flatten());
    let used = pictures.map(|picture| {
        let last = picture.rows().rposition(|mut row| row.any(|&pixel| pixel != WHITE));
        let last = last.and_then(|row| u32::try_from(row).ok()).unwrap_or(0);
        (last + 1 + GAP).min(picture.height())
    });
    used.max().unwrap_or(0).max(MIN_HEIGHT)
}

fn color_of(report: &Report) -> Rgb<u8> {
    if !report.is_right() {
        BAD
    } else if report.limited().next().is_some() {
        LIMITED
    } else {
        GOOD
    }
}

/// Returns the name of the screenshot with the most failed checks in either build; of several, the last one.
fn telling_screenshot(row: &Row) -> Option<String> {
    let reports: Vec<_> = row.published.iter().chain([&row.adapted]).collect();
    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for check in reports.iter().flat_map(|report| &report.checks).filter(|check| !check.passed) {
        if let Some(place) = &check.place {
            *failed.entry(&place.screenshot).or_default() += 1;
        }
    }
    let names = reports.iter().flat_map(|report| &report.screenshots).map(|shot| &*shot.name);
    names.max_by_key(|name| failed.get(name).copied().unwrap_or(0)).map(str::to_owned)
}

/// Returns a screenshot as it stands on the sheet, with the failed checks marked.
fn picture(report: &Report, name: &str) -> Result<Option<RgbImage>, SuiteError> {
    let Some(shot) = report.screenshots.iter().rfind(|shot| shot.name == name) else { return Ok(None) };
    let full = image::open(&shot.file)
        .map_err(|source| SuiteError::Picture { path: shot.file.clone(), source })?
        .into_rgb8();
    let height = (full.height() * WIDTH / full.width()).max(1);
    let mut picture = imageops::resize(&full, WIDTH, height, Scaling::Triangle);
    let mut mark = |check: &Check, color| {
        if let Some(place) = check.place.as_ref().filter(|place| place.screenshot == name) {
            let scaled = |at: i64| at * i64::from(WIDTH) / i64::from(full.width());
            frame(&mut picture, (scaled(place.x), scaled(place.y)), color);
        }
    };
    report.limited().for_each(|check| mark(check, LIMITED));
    report.failed().for_each(|check| mark(check, BAD));
    Ok(Some(picture))
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
    let file = File::create(path).map_err(|source| SuiteError::Write { path: path.to_owned(), source })?;
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    sheet.write_with_encoder(encoder).map_err(|source| SuiteError::Picture { path: path.to_owned(), source })
}
