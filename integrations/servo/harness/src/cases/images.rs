//! Cases P5: `get_image`, until the caller has the bytes.

use euclid::default::Size2D;

use super::{Case, FULL_HD, ULTRA_HD, millis, row, sides, take_turns};
use crate::entrant::{AlphaMode, Source, Then};
use crate::rows::Row;

const WARM_UP: usize = 3;

pub fn cases() -> Vec<Case> {
    let case = |id: &'static str, alpha_mode, size: Size2D<u32>, rounds| Case {
        id: id.into(),
        run: Box::new(move || images(id, alpha_mode, size, rounds).into()),
    };
    use AlphaMode::{Opaque, Premultiplied};
    vec![
        case("P5-1080p-premultiplied", Premultiplied, FULL_HD, 80),
        case("P5-1080p-opaque", Opaque, FULL_HD, 80),
        case("P5-4k-premultiplied", Premultiplied, ULTRA_HD, 25),
        case("P5-4k-opaque", Opaque, ULTRA_HD, 25),
    ]
}

fn images(id: &str, alpha_mode: AlphaMode, size: Size2D<u32>, rounds: usize) -> [Row; 2] {
    let mut sides = sides();
    for side in &mut sides {
        side.create_canvas(size, alpha_mode);
        side.draw(&[(0, size)]);
        side.present(&[0], Then::Keep);
    }
    let kind = match alpha_mode {
        AlphaMode::Premultiplied => "premultiplied",
        AlphaMode::Opaque => "opaque",
    };
    [(Source::Shown, "shown", "what is shown"), (Source::Drawn, "texture", "a texture")].map(
        |(source, suffix, what)| {
            take_turns(&mut sides, WARM_UP, |side, _| side.get_image(0, source));
            let samples = take_turns(&mut sides, rounds, |side, _| {
                side.get_image(0, source);
                side.get_image(0, source)
            });
            let work = format!("get_image of {what}, {}×{}, {kind}", size.width, size.height);
            row(format!("{id}-{suffix}"), work, "ms", &samples, |samples| millis(samples.median()))
        },
    )
}
