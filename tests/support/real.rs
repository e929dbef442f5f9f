//! Random engines, pages and renderers on real parts: wgpu-core, on any backend, and threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use webgpu_presentation::{
    ContextConfiguration, ContextId, ContextMap, FrameMemoryKind, Presenter, PresenterOptions,
};
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{DeviceId, TextureId};
use wgpu_types as wgt;
use wgpu_types::{TextureFormat, TextureUsages};

use super::chaos::engine::Engine;
use super::chaos::step::{Disturbance, Stage, Step};
use super::chaos::{Device, Drawing, Ids, Parts, Setup, random};
use super::gpu::{self, Gpu, descriptor};
use super::oracle::{Pattern, Sink, Trouble, Witness};

/// Messages that script may be ahead.
const AHEAD: usize = 64;

/// An adapter of wgpu-core.
pub struct WgpuParts {
    gpu: Gpu,
    is_blind: bool,
    /// Closures that were to run, and those that did.
    closures: [Arc<AtomicUsize>; 2],
}

/// An engine on an adapter; its renderers draw when they are told.
pub fn engine(
    gpu: Gpu,
    ids: Ids,
    memory: FrameMemoryKind,
    is_blind: bool,
    renderers: usize,
) -> Engine<WgpuParts> {
    let setup = Setup {
        memory,
        ids,
        // One of the two kinds of engines, so that both ways to wait are tried.
        spin: Duration::from_micros(if ids == Ids::All { 200 } else { 0 }),
        pattern: Pattern::Eightfold,
        is_blind,
        is_exact: false,
        patience: Duration::from_secs(60),
        most_snapshots: 4,
        contexts: 6,
        renderers,
    };
    Engine::new(vec![WgpuParts { gpu, is_blind, closures: Default::default() }], setup)
}

/// Lets two renderers draw on threads of their own while something happens on this one.
pub fn with_renderers<T>(
    engine: Engine<WgpuParts>,
    seed: u64,
    happens: impl FnOnce(Engine<WgpuParts>) -> T,
) -> T {
    let renderers = engine.renderers.clone();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (renderer, (seed, pause)) in renderers.iter().zip([(seed, 100), (!seed, 4000)]) {
            let (ends, mut below) = (&ends, random(seed));
            scope.spawn(move || {
                while !ends.load(Ordering::Acquire) {
                    renderer.lock().draw(&mut below);
                    std::thread::sleep(Duration::from_micros(pause));
                }
            });
        }
        let end = SetOnDrop(&ends);
        let result = happens(engine);
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

/// Runs a page's script for this long, on a thread of its own. The engine takes what is in its channel.
pub fn page(engine: &mut Engine<WgpuParts>, seed: u64, time: Duration) {
    let (send, messages) = sync_channel(AHEAD);
    let deadline = Instant::now() + time;
    let script = move || {
        let mut below = random(seed);
        // The engine hangs up when it found a violation.
        while Instant::now() < deadline && send.send(Step::random(Stage::Real, &mut below)).is_ok() {
            if below(50) == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(script);
        while let Ok(first) = messages.recv() {
            engine.perform(std::iter::once(first).chain(messages.try_iter().take(AHEAD)));
            if !engine.witness.violations().is_empty() {
                break;
            }
        }
        drop(messages);
    });
}

/// Panics with all that was wrong.
pub fn assert_no_violations(witness: &Witness, seed: u64) {
    let violations = witness.violations();
    assert!(violations.is_empty(), "seed {seed}:\n{}", violations.join("\n"));
}

/// Says which threads of this crate go on, after a moment: the kernel takes one to forget them. Their names are cut off.
pub fn judge_threads(witness: &Witness) {
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("webgpu p")).count()
    };
    let deadline = Instant::now() + Duration::from_millis(500);
    while threads() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    let count = threads();
    witness.tell(|oracle| oracle.rule(count == 0, || format!("{count} threads go on")));
}

impl WgpuParts {
    pub fn hub_entries(&self) -> [(usize, &'static str); 7] {
        self.gpu.hub_entries()
    }
}

impl Parts for WgpuParts {
    fn presenter(&self, map: &ContextMap, sink: Sink, options: PresenterOptions) -> Presenter {
        // SAFETY: only the presenter names its staging buffers.
        unsafe { Presenter::new(self.gpu.global.clone(), map, sink, options) }
    }

    fn another(&self) -> Option<Self> {
        None
    }

    fn device(&mut self, _: u32) -> Device {
        let gpu::Device { id, queue } = self.gpu.device();
        Device { id, queue }
    }

    fn drop_device(&self, device: Device, is_dropped: bool) {
        if !is_dropped {
            self.gpu.global.device_drop(device.id);
        }
        self.gpu.global.queue_drop(device.queue);
    }

    fn destroy_device(&self, device: Device) -> bool {
        // wgpu-core destroys in the next poll, and can deadlock if this thread writes meanwhile.
        self.gpu.global.device_destroy(device.id);
        let deadline = Instant::now() + Duration::from_secs(60);
        let poll = || self.gpu.global.device_poll(device.id, wgt::PollType::Poll);
        while !poll().is_ok_and(|status| status.is_queue_empty()) {
            assert!(Instant::now() < deadline, "a destroyed device is never done");
            std::thread::yield_now();
        }
        true
    }

    fn canvas_texture(
        &mut self,
        presenter: &mut Presenter,
        context: ContextId,
        configuration: &ContextConfiguration,
        drawing: &Drawing,
    ) -> TextureId {
        let usage = TextureUsages::COPY_DST | TextureUsages::COPY_SRC | TextureUsages::RENDER_ATTACHMENT;
        let descriptor = descriptor(configuration.format, configuration.size, usage);
        let (texture, _) = presenter.create_canvas_texture(context, configuration, &descriptor, None);
        if !drawing.lost {
            let device = Device { id: configuration.device_id, queue: configuration.queue_id };
            self.redraw(device, texture, drawing);
        }
        texture
    }

    fn texture(&mut self, device: Device, drawing: &Drawing) -> TextureId {
        let mut usage = TextureUsages::COPY_DST | TextureUsages::RENDER_ATTACHMENT;
        usage.set(TextureUsages::COPY_SRC, drawing.trouble != Trouble::NoCopy);
        // An error texture, if the descriptor does not validate or the device is destroyed.
        let size = match drawing.trouble {
            Trouble::Invalid => (0, 0).into(),
            _ => drawing.picture.size,
        };
        let format = if drawing.bgra { TextureFormat::Bgra8Unorm } else { TextureFormat::Rgba8Unorm };
        let descriptor = descriptor(format, size, usage);
        let (texture, _) = self.gpu.global.device_create_texture(device.id, &descriptor, None);
        // wgpu-core can deadlock if a device is written to while it is being destroyed.
        if !drawing.lost && drawing.trouble != Trouble::Invalid {
            self.redraw(device, texture, drawing);
        }
        if drawing.trouble == Trouble::Destroyed {
            self.gpu.global.texture_destroy(texture);
        }
        texture
    }

    fn redraw(&self, device: Device, texture: TextureId, drawing: &Drawing) -> bool {
        if !self.is_blind {
            let Device { id, queue } = device;
            let texels = drawing.picture.texels(drawing.bgra, Pattern::Eightfold);
            self.gpu.write(gpu::Device { id, queue }, texture, drawing.picture.size, &texels);
        }
        true
    }

    fn destroy_texture(&self, texture: TextureId) {
        self.gpu.global.texture_destroy(texture);
    }

    fn drop_texture(&self, texture: TextureId) {
        self.gpu.global.texture_drop(texture);
    }

    fn knows(&self, _: Trouble) -> bool {
        true
    }

    fn disturb(&self, _: Device, _: Disturbance) {}

    fn lost(&self) -> Vec<DeviceId> {
        vec![]
    }

    fn finish_all(&self) {}

    fn closure(&self, device: Device) -> Option<SubmissionIndex> {
        let [asked, ran] = &self.closures;
        asked.fetch_add(1, Ordering::SeqCst);
        let ran = ran.clone();
        let closure = Box::new(move || {
            ran.fetch_add(1, Ordering::SeqCst);
        });
        Some(self.gpu.global.queue_on_submitted_work_done(device.queue, closure))
    }

    fn leftovers(&self) -> Vec<String> {
        // A device that is dropped may take some along.
        let [asked, ran] = self.closures.each_ref().map(|count| count.load(Ordering::SeqCst));
        let twice = (ran > asked).then(|| format!("{asked} closures ran {ran} times"));
        let entries = self.hub_entries().into_iter().filter(|(count, _)| *count > 0);
        entries.map(|(count, what)| format!("{count} {what}")).chain(twice).collect()
    }
}
