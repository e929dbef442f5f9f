//! Trials: what a page may do, and what a WebGPU thread must make of it. Each is run for one variant, and panics if it fails.
//!
//! - `pixels`: what is shown and read, for each format and alpha mode and for odd sizes;
//! - `order`: what a renderer sees of frames that come faster than they can be copied, and reads that are not awaited;
//! - `ids`: what script gets back;
//! - `staging`: commands that name the buffers that frames are copied to;
//! - `endings`: contexts and devices that end while they are in use;
//! - `everything`: all of that at once.

mod endings;
mod everything;
mod ids;
mod order;
mod pixels;
mod staging;

use crate::rows::{Figure, Row};
use crate::servo::{Servo, Variant};

pub struct Trial {
    /// The name of the trial. A part of it, on the command line, selects the trial.
    pub id: &'static str,
    pub work: &'static str,
    /// Whether it is about correctness, so that it belongs to `--check`.
    pub is_check: bool,
    run: Run,
}

enum Run {
    /// Passes if it returns.
    Pass(fn(&mut Servo)),
    /// Yields a figure, in this unit.
    Measure(&'static str, fn(&mut Servo) -> f64),
}

pub fn all() -> Vec<Trial> {
    let mut trials = pixels::trials();
    trials.extend(order::trials());
    trials.extend(ids::trials());
    trials.extend(staging::trials());
    trials.extend(endings::trials());
    trials.extend(everything::trials());
    trials
}

impl Trial {
    fn check(id: &'static str, work: &'static str, run: fn(&mut Servo)) -> Self {
        Self { id, work, is_check: true, run: Run::Pass(run) }
    }

    fn measure(id: &'static str, work: &'static str, unit: &'static str, run: fn(&mut Servo) -> f64) -> Self {
        Self { id, work, is_check: false, run: Run::Measure(unit, run) }
    }

    /// Returns the row of the trial without its figures, in a list as comparisons return it.
    pub fn rows(&self) -> Vec<Row> {
        let unit = if let Run::Measure(unit, _) = self.run { unit } else { "" };
        vec![Row::new(self.id, self.work, unit)]
    }

    /// Runs the trial in this process.
    pub fn run_for(&self, variant: Variant) -> Vec<Row> {
        let mut servo = Servo::new(variant);
        let figure = match self.run {
            Run::Pass(run) => {
                run(&mut servo);
                Figure::Passed
            }
            Run::Measure(_, run) => Figure::Number(run(&mut servo)),
        };
        let mut rows = self.rows();
        for row in &mut rows {
            *row.figure_of(variant.name()) = figure.clone();
        }
        rows
    }
}

/// Makes sure that the WebGPU thread still works: a new device presents on a new canvas, and reads it.
fn still_works(servo: &mut Servo) {
    use euclid::default::Size2D;
    use webrender_api::ImageFormat;

    use crate::entrant::{AlphaMode, COLOR, PATIENCE, pixel};

    let size = Size2D::new(20, 10);
    let device = servo.connection.device();
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let epoch = servo.present_color(canvas, device, size, COLOR);
    servo.updates.wait_for(canvas, epoch);
    let expected = pixel(AlphaMode::Premultiplied);
    let shown = servo.renderer().read(canvas, |bytes| bytes.first_chunk().copied()).flatten();
    assert_eq!(shown, Some(expected), "what a canvas shows afterwards");
    let image = servo.request_image(canvas, None).try_recv_timeout(PATIENCE);
    let image = image.ok().expect("a read afterwards is answered in time");
    assert_eq!(image.data().first_chunk(), Some(&expected), "what a read returns afterwards");
}
