//! A script's thread, an engine and two renderers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use webgpu_presentation::ContextMap;

use super::choices::{Choices, Random};
use super::engine::Engine;
use super::ledger::Ledger;
use super::renderer::Renderer;
use super::script::Message;

/// Messages that script may be ahead.
const AHEAD: usize = 64;

/// Two renderers that draw on threads of their own while something happens on this one.
pub fn with_renderers<T>(
    map: &ContextMap,
    ledger: &Arc<Ledger>,
    seed: u64,
    happens: impl FnOnce(&[Mutex<Renderer>]) -> T,
) -> T {
    let renderer = |name, seed| Mutex::new(Renderer::new(name, map, ledger, seed));
    let renderers = [renderer("a hasty renderer", seed), renderer("a lagging renderer", !seed)];
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (renderer, pause) in renderers.iter().zip([Duration::from_micros(100), Duration::from_millis(4)])
        {
            let ends = &ends;
            scope.spawn(move || {
                while !ends.load(Ordering::Acquire) {
                    renderer.lock().draw();
                    std::thread::sleep(pause);
                }
            });
        }
        let end = SetOnDrop(&ends);
        let result = happens(&renderers);
        drop(end);
        result
    })
}

/// Lets the renderers end though this thread panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs a page's script for this long. Returns how many messages it sent.
pub fn page(engine: &mut Engine, seed: u64, time: Duration) -> usize {
    let (send, messages) = sync_channel(AHEAD);
    let deadline = Instant::now() + time;
    let script = move || {
        let mut random = Random::new(seed);
        while Instant::now() < deadline {
            // The engine hangs up when it found a fault.
            if send.send(Message::random(&mut random)).is_err() {
                break;
            }
            if random.one_in(50) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(script);
        serve(engine, messages)
    })
}

/// Takes what is in the channel, as an engine does.
fn serve(engine: &mut Engine, messages: Receiver<Message>) -> usize {
    let mut count = 0;
    while let Ok(first) = messages.recv() {
        let drained: Vec<_> = std::iter::once(first).chain(messages.try_iter().take(AHEAD)).collect();
        count += drained.len();
        engine.perform(drained);
        if !engine.ledger.faults().is_empty() {
            break;
        }
    }
    count
}

/// Panics with all that was wrong.
pub fn assert_no_faults(ledger: &Arc<Ledger>, seed: u64) {
    let faults = ledger.faults();
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
}
