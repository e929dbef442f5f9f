//! Cases P5: `get_image`, until the caller has the bytes.

use indicatif::ProgressBar;
use webgpu_presentation::AlphaMode;

use super::{Case, FULL_HD, millis, row, sides, take_turns};
use crate::entrant::{Source, Then};
use crate::rows::Row;

const WARM_UP: usize = 3;
const ROUNDS: usize = 80;

pub fn cases() -> Vec<Case> {
    let case = |id: &'static str, alpha_mode| Case {
        id: id.into(),
        steps: 2 * (WARM_UP + ROUNDS) as u64,
        run: Box::new(move |bar| images(id, alpha_mode, bar).into()),
    };
    vec![case("P5-premultiplied", AlphaMode::Premultiplied), case("P5-opaque", AlphaMode::Opaque)]
}

fn images(id: &str, alpha_mode: AlphaMode, bar: &ProgressBar) -> [Row; 2] {
    let mut sides = sides();
    for side in &mut sides {
        side.create_canvas(FULL_HD, alpha_mode);
        side.draw(&[(0, FULL_HD)]);
        side.present(&[0], Then::Keep);
    }
    let (kind, target, share) = match alpha_mode {
        AlphaMode::Premultiplied => ("premultiplied", "≤ 0.45 × peer", 0.45),
        AlphaMode::Opaque => ("opaque", "≤ 0.3 × peer", 0.3),
    };
    [(Source::Shown, "shown", "what is shown"), (Source::Drawn, "texture", "a texture")].map(
        |(source, suffix, what)| {
            take_turns(&mut sides, WARM_UP, bar, |side, _| side.get_image(0, source));
            let samples = take_turns(&mut sides, ROUNDS, bar, |side, _| {
                side.get_image(0, source);
                side.get_image(0, source)
            });
            let work = format!("get_image of {what}, 1920×1080, {kind}");
            row(format!("{id}-{suffix}"), work, "ms", &samples, |samples| millis(samples.median()))
                .with_target(target, |row| Some(row.ours? <= share * row.peer?))
        },
    )
}
