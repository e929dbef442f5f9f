//! A page of WebGPU canvases, drawn, presented, composited and checked without a display.
//!
//! `show` is the engine: it owns the devices, the presenter and the page, and runs one frame after the other. `cast` lists
//! the canvases, `painters` draw into their textures, `uploads` brings what their shaders read to the GPU, and `backdrop` is
//! the page around them. `check` compares the composited page with what the textures held. `--help` lists the options.

mod backdrop;
mod canvas;
mod cast;
mod check;
mod error;
mod gfx;
mod ledger;
mod lettering;
mod options;
mod painters;
mod pictures;
mod report;
mod show;
mod snapshots;
mod support;
mod uploads;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::DemoError;
use crate::options::Options;
use crate::pictures::Photo;
use crate::show::Show;

/// Upper bound of the animation's pictures.
const ANIMATION_FRAMES: u32 = 40;
/// When the pictures of the contact sheet are taken, in eighths of the run. The last one is taken at its end.
const MOMENTS: [u32; 4] = [1, 3, 5, 6];
/// How many faults are printed one by one. The others are only counted.
const TOLD: usize = 20;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Draws all frames, writes the pictures and the report, and returns whether everything was right.
fn run(options: &Options) -> Result<bool, DemoError> {
    // If the pictures cannot be written, the demo stops before it draws them.
    std::fs::create_dir_all(&options.out)
        .map_err(|error| DemoError::File { path: options.out.clone(), error })?;
    let mut show = Show::new(options.gl.into(), options.frames, options.size)?;
    let progress = progress(options.length);
    let every = options.length.div_ceil(ANIMATION_FRAMES);
    let moments = MOMENTS.map(|eighth| options.length * eighth / 8);
    let (mut animation, mut sheet) = (Vec::new(), Vec::new());

    let start = Instant::now();
    for frame in 0..options.length {
        let (shown, last) = (moments.contains(&frame), frame + 1 == options.length);
        show.frame(frame, shown || last || frame.is_multiple_of(every))?;
        if shown || last || frame.is_multiple_of(every) {
            let photo = Photo::new(options.size, &show.pixels());
            if frame.is_multiple_of(every) {
                animation.push(photo.for_animation());
            }
            if shown || last {
                sheet.push(photo);
            }
        }
        progress.inc(1);
        let rate = f64::from(frame + 1) / start.elapsed().as_secs_f64();
        progress.set_message(format!("{rate:.1} frames per second"));
    }
    show.finish()?;
    let seconds = start.elapsed().as_secs_f64();

    progress.set_message("writing the pictures");
    let png = options.out.join("page.png");
    let apng = options.out.join("page.apng");
    pictures::write_contact_sheet(&png, &sheet)?;
    pictures::write_animation(&apng, &animation, (every as u16, 30))?;
    progress.finish_and_clear();

    let (width, height) = options.size;
    println!("{}", report::table(&show.ledger, &show.kinds));
    println!("adapter   {}", show.adapter());
    println!("page      {width}x{height}, WebRender on {:?}, frames {:?}", options.gl, options.frames);
    println!(
        "speed     {} frames in {seconds:.1} s: {:.1} frames per second",
        options.length,
        f64::from(options.length) / seconds
    );
    println!(
        "verified  {} regions in {} frames, and {} snapshots",
        show.findings.verified, show.findings.frames, show.snapshots.verified
    );
    println!("uploads   {}", report::uploads(&show.uploads));
    println!("pictures  {} and {}", png.display(), apng.display());
    Ok(tell_faults(&show))
}

fn progress(frames: u32) -> ProgressBar {
    let progress = ProgressBar::new(frames.into());
    let style = ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len}  {msg}");
    // The template is valid. If it were not, the bar would only be plainer.
    if let Ok(style) = style {
        progress.set_style(style);
    }
    progress
}

/// Prints what was wrong, and returns whether nothing was.
fn tell_faults(show: &Show) -> bool {
    let mismatches = show.findings.mismatches.iter().map(|mismatch| format!("wrong pixel: {mismatch}"));
    let snapshots = show.snapshots.wrong.iter().map(|wrong| format!("wrong snapshot: {wrong}"));
    let outcomes = show.findings.bad_outcomes.iter().map(|outcome| format!("unexpected: {outcome:?}"));
    let copied = show.copied_without_need();
    let refused = show.uploads.iter().map(|uploads| uploads.copied().refused).filter(|&refused| refused > 0);
    let refused = refused.map(|refused| format!("{refused} copies of uploads were left out"));
    let faults: Vec<_> = mismatches.chain(snapshots).chain(outcomes).chain(refused).chain(copied).collect();
    for fault in faults.iter().take(TOLD) {
        eprintln!("{fault}");
    }
    if faults.len() > TOLD {
        eprintln!("and {} more", faults.len() - TOLD);
    }
    faults.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Frames, Gl};
    use crate::show::Findings;

    /// The frames that are compared. One canvas changes its size at 5 and 20. Another is gone from 21, and comes back at 28 on
    /// another device with another format. Frames 0, 8, 24 and 32 are checked, and script reads in 4, 12, 20 and 28.
    const COMPARED: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 21, 24, 28, 32];

    /// The pages of a short run, one after the other, and how the frames came there.
    fn pages(gl: Gl, frames: Frames) -> Option<(Vec<Vec<u8>>, u64, u64)> {
        let mut show = match Show::new(gl.into(), frames, (640, 480)) {
            Ok(show) => show,
            Err(DemoError::NoAdapter) => return None,
            Err(error) => panic!("{error}"),
        };
        let pages = COMPARED.map(|frame| {
            show.frame(frame, true).unwrap();
            show.pixels()
        });
        show.finish().unwrap();
        let Findings { frames: checked, mismatches, bad_outcomes, .. } = &show.findings;
        assert!(mismatches.is_empty() && bad_outcomes.is_empty(), "{mismatches:?} {bad_outcomes:?}");
        assert_eq!((*checked, show.snapshots.verified, &*show.snapshots.wrong), (4, 4, &[][..]));
        assert_eq!(show.copied_without_need(), [""; 0]);
        if frames == Frames::Readback {
            let table = report::table(&show.ledger, &show.kinds);
            assert_eq!(table.matches("OrdinaryTexture").count(), show.kinds.len(), "{table}");
        }
        let sum = |count: fn(&report::Kinds) -> u64| show.kinds.iter().map(count).sum();
        Some((pages.into(), sum(|kinds| kinds.direct), sum(|kinds| kinds.shared)))
    }

    // Without an adapter there is nothing to compare.
    fn assert_equal_pages(gl: Gl, kinds: &[Frames]) {
        let Some((expected, direct, shared)) = pages(gl, Frames::Readback) else { return };
        assert_eq!((direct, shared), (0, 0));
        for frames in kinds {
            let Some((got, direct, shared)) = pages(gl, *frames) else { return };
            let wrong =
                COMPARED.iter().zip(got.iter().zip(&expected)).find(|(_, (got, expected))| got != expected);
            assert_eq!(wrong.map(|(frame, _)| frame), None, "{frames:?}");
            match frames {
                Frames::Auto | Frames::Direct => assert!(direct > 0),
                Frames::Shared => assert!(shared > 0),
                Frames::Readback => {}
            }
        }
    }

    #[test]
    fn all_kinds_of_frames_make_the_same_pictures_on_swgl() {
        assert_equal_pages(Gl::Swgl, &[Frames::Auto, Frames::Direct]);
    }

    #[test]
    fn all_kinds_of_frames_make_the_same_pictures_on_gl() {
        assert_equal_pages(Gl::Egl, &[Frames::Auto, Frames::Direct, Frames::Shared]);
    }
}
