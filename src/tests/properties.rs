//! Random scripts on the fake GPU, with every call and whatever a page, a compositor, several renderers and a GPU can do: several
//! contexts and owners, two presenters on one map.
//!
//! - I1: every present ends once, and not without a reason that is in the script; every `get_image` (R14) and every wait is answered
//!   once.
//! - I2, R19: what a renderer has locked stays as it is until it is unlocked, and so does what script got.
//! - I4, R18: frames are presented in order. R10: a read gives what was presented last.
//! - I5: what is in flight is bounded, and so are buffers.
//! - I6, R20: whatever a renderer locks has the bytes that the descriptor asks for, all of one frame of this context, blank only
//!   if something later was locked before.
//! - R16: each present is acknowledged; acknowledged epochs of a key never fall, nothing follows the end of a key.
//! - R17: the newest good frame is shown in the end, by every renderer.
//! - R22: a context keeps its byte order.
//! - R23: every id comes back once, and may be used again at once; the hub is empty in the end.
//!
//! `PROPTEST_CASES=100000` tries more. A history that fails is printed as small as it gets, and is Rust: put it between the brackets
//! of `replay` in a test like the last one here.

mod end;
mod engine;
mod history;
mod model;
mod renderer;
mod step;

use proptest::prelude::*;

use self::history::History;
use self::step::{Step, Texture, Trouble, script};
use super::world::*;

/// Scripts that are tried, for each kind of memory.
const CASES: u32 = 5000;

fn replay(memory: FrameMemoryKind, script: &[Step]) {
    let mut history = History::new(memory);
    script.iter().for_each(|step| history.go(*step));
    history.end();
}

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    }
}

#[rstest]
fn random_histories_end_well(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    proptest!(config(), |(script in script())| replay(memory, &script));
}

#[rstest]
fn a_script_is_replayed(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    use {Step::*, Trouble::*};
    let texture = Texture { device: 0, size: (4, 2), rgba: false, opaque: false, trouble: Good };
    replay(
        memory,
        &[
            Create { at: 0, context: 0, owner: 0, ids: 2 },
            SetKey { at: 0, context: 0, compositor: 1 },
            Present { at: 0, context: 0, epoch: 1, texture, batched: false },
            Finish { at: 0, device: 0, racing: false },
            Lock { renderer: 0, context: 0, before: 0, generation: true },
            Destroy { at: 0, context: 0 },
        ],
    );
}
