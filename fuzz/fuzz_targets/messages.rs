//! Any sequence of messages, from any bytes: hostile sizes, ids, epochs and orders, on wgpu-core's noop backend.
//!
//! The engine, the renderer and the rules are those of the stress test, `tests/support/chaos`. Nothing is copied on that backend,
//! so pixels are not looked at; everything else is: ends, epochs, image updates, answers, ids, what is left in the hub, threads.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use arbitrary::Unstructured;
use libfuzzer_sys::{Corpus, fuzz_target};
use parking_lot::Mutex;
use support::chaos::choices::Choices;
use support::chaos::engine::Engine;
use support::chaos::renderer::Renderer;
use support::chaos::run::assert_no_faults;
use support::chaos::script::Message;
use support::gpu::Gpu;
use webgpu_presentation::FrameMemoryKind;

/// More messages tell no more, and take longer.
const MOST: usize = 400;

/// The fuzzer's bytes.
struct Bytes<'a>(Unstructured<'a>);

impl Choices for Bytes<'_> {
    fn below(&mut self, n: u32) -> u32 {
        // Without bytes it is 0.
        self.0.int_in_range(0..=n - 1).unwrap_or(0)
    }
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let mut choices = Bytes(Unstructured::new(data));
    if data.is_empty() {
        return Corpus::Reject;
    }
    let mut engine = Engine::new(Gpu::noop(), choices.one_in(2), FrameMemoryKind::Portable, true);
    let ledger = engine.ledger.clone();
    let renderers = [Mutex::new(Renderer::new("the renderer", &engine.map, &ledger, 0))];
    let mut channel = Vec::new();
    for _ in 0..MOST {
        if choices.0.is_empty() {
            break;
        }
        match Message::random(&mut choices) {
            // Time does not pass here; somebody draws instead.
            Message::Rest { milliseconds: 0 } => engine.settle(&renderers),
            Message::Rest { .. } => drop(renderers[0].lock().draw()),
            // What is awaited comes or does not: nobody has the time.
            Message::Wait { slot, epoch, milliseconds } => {
                channel.push(Message::Wait { slot, epoch, milliseconds: milliseconds.min(1) });
            }
            message => channel.push(message),
        }
        // What an engine finds in its channel is more than one message at times.
        if channel.len() > 4 || choices.one_in(2) {
            engine.perform(std::mem::take(&mut channel));
        }
    }
    engine.perform(channel);
    engine.finish(&renderers);
    assert_no_faults(&ledger, 0);
    Corpus::Keep
});
