//! Cases P9: `lock` and `unlock` on the renderer's thread, while another thread keeps presenting.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use euclid::default::Size2D;

use super::{Case, FULL_HD, MEDIUM, micros, row, sides};
use crate::entrant::{AlphaMode, Entrant, Locker, Source, Then};
use crate::rows::Row;
use crate::statistics::Samples;

const ROUNDS: usize = 8;

/// How long the turn of one side is.
const TURN: Duration = Duration::from_millis(150);

/// A renderer locks every canvas once in a frame, and then does something else. Here a frame has no more than this many locks.
const LOCKS: usize = 50;
const PAUSE: Duration = Duration::from_micros(300);

pub fn cases() -> Vec<Case> {
    let case = |id: &'static str, work: &'static str, contexts: usize, images: bool| Case {
        id: id.into(),
        run: Box::new(move || locks(id, work, contexts, images).into()),
    };
    vec![
        case("P9-1", "lock and unlock, 1 context, presents running", 1, false),
        case("P9-1000", "lock and unlock, 1,000 contexts, presents running", 1000, false),
        case("P9-images", "lock and unlock, presents and get_image (1920×1080) running", 1, true),
    ]
}

fn locks(id: &str, work: &str, contexts: usize, images: bool) -> [Row; 2] {
    let mut sides = sides();
    // The floor has no renderer.
    sides.retain(|side| side.locker().is_some());
    for side in &mut sides {
        prepare(&mut **side, contexts, images);
    }
    let mut lockers: Vec<_> = sides.iter().filter_map(|side| side.locker()).collect();
    let mut samples: Vec<_> = sides.iter().map(|side| Samples::of(side.name())).collect();
    for round in 0..ROUNDS {
        for place in 0..sides.len() {
            let index = (round + place) % sides.len();
            let (side, locker) = (&mut *sides[index], &mut *lockers[index]);
            beside(side, images.then_some(contexts), || lock_all(locker, contexts, &mut samples[index]));
        }
    }
    let percentile = |percent| move |samples: &Samples| micros(samples.percentile(percent));
    [
        row(format!("{id}-median"), format!("{work}: median"), "µs", &samples, percentile(50)),
        row(format!("{id}-p99"), format!("{work}: p99"), "µs", &samples, percentile(99)),
    ]
}

/// Every canvas shows something. The first one keeps its texture, and so does the one that is read: the last.
fn prepare(side: &mut dyn Entrant, contexts: usize, images: bool) {
    let small = Size2D::new(64, 64);
    let mut canvases: Vec<_> =
        (0..contexts).map(|canvas| (canvas, if canvas == 0 { MEDIUM } else { small })).collect();
    canvases.extend(images.then_some((contexts, FULL_HD)));
    for (_, size) in &canvases {
        side.create_canvas(*size, AlphaMode::Premultiplied);
    }
    for some in canvases.chunks(100) {
        side.draw(some);
        let shown: Vec<_> = some.iter().map(|(canvas, _)| *canvas).collect();
        side.present(&shown, Then::Keep);
    }
}

/// Does `work` while another thread presents the first canvas, and reads canvas `read` if there is one.
fn beside(side: &mut dyn Entrant, read: Option<usize>, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                side.present(&[0], Then::Keep);
                if let Some(canvas) = read {
                    side.get_image(canvas, Source::Shown);
                }
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

fn lock_all(locker: &mut dyn Locker, contexts: usize, samples: &mut Samples) {
    let start = Instant::now();
    let mut canvas = 0;
    while start.elapsed() < TURN {
        for _ in 0..contexts.min(LOCKS) {
            let before = Instant::now();
            locker.lock_and_unlock(canvas);
            samples.push(before.elapsed());
            canvas = (canvas + 1) % contexts;
        }
        std::thread::sleep(PAUSE);
    }
}
