//! Any sequence of messages, from any bytes: hostile sizes, ids, epochs and orders, on wgpu-core's noop backend.
//!
//! The engine, the renderer and the rules are those of the stress test. Nothing is copied on that backend, so pixels are not looked at;
//! everything else is: ends, epochs, image updates, answers, ids, what is left in the hub, threads.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use arbitrary::Unstructured;
use libfuzzer_sys::{Corpus, fuzz_target};
use support::chaos::Ids;
use support::chaos::step::{Stage, Step};
use support::gpu::Gpu;
use support::real::{assert_no_violations, engine, judge_threads};
use webgpu_presentation::FrameMemoryKind;

/// More messages tell no more, and take longer.
const MOST: usize = 400;

fuzz_target!(|data: &[u8]| -> Corpus {
    if data.is_empty() {
        return Corpus::Reject;
    }
    let bytes = RefCell::new(Unstructured::new(data));
    // Without bytes it is 0.
    let mut below = |limit: u32| bytes.borrow_mut().int_in_range(0..=limit - 1).unwrap_or(0);
    let ids = if below(2) == 1 { Ids::All } else { Ids::None };
    let mut engine = engine(Gpu::noop(), ids, FrameMemoryKind::Portable, true, 1);
    for _ in 0..MOST {
        if bytes.borrow().is_empty() {
            break;
        }
        match Step::random(Stage::Real, &mut below) {
            // Time does not pass here; a renderer draws instead.
            Step::Rest { milliseconds: 0 } => engine.settle(),
            Step::Rest { .. } => drop(engine.renderers[0].lock().draw(&mut below)),
            // It comes or does not.
            Step::Wait { context, epoch, milliseconds } => {
                let milliseconds = milliseconds.map(|milliseconds| milliseconds.min(1));
                engine.perform([Step::Wait { context, epoch, milliseconds }]);
            }
            step => engine.perform([step]),
        }
    }
    let witness = engine.finish();
    judge_threads(&witness);
    assert_no_violations(&witness, 0);
    Corpus::Keep
});
