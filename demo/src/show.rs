//! The engine's part: it draws into canvases, presents them, and has the page composited.
//!
//! A frame passes through here from top to bottom: canvases come and go, script draws, the presenter gets one batch, WebRender
//! renders the page, and on every eighth frame the result is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use webgpu_presentation::{
    Contents, ContextId, ContextMap, ExternalImages, PresentOutcome, Presenter, PresenterOptions,
    WebRenderSink,
};
use webrender_api::units::DeviceIntSize;
use wgpu_types::{InstanceFlags, TextureFormat};

use crate::backdrop::{Backdrop, layout};
use crate::canvas::{Canvas, Drawn};
use crate::cast::{CAST, DEVICES, MAX_PRESENTS, Role};
use crate::check::{Mismatch, Truth};
use crate::error::DemoError;
use crate::gfx::Gfx;
use crate::ledger::{Ledger, Told};
use crate::options::Frames;
use crate::report::Kinds;
use crate::snapshots::Snapshots;
use crate::support::gpu::Gpu;
use crate::support::page::{Item, Page, PageGl};
use crate::uploads::Uploads;

/// Frames from one check to the next.
const CHECK_EVERY: u32 = 8;
/// How many frames may be in flight when the next one is drawn, as with a swap chain.
const FRAMES_AHEAD: usize = 2;
const FRAMES_PER_SECOND: f32 = 30.0;
/// How long an outcome or a snapshot may take before the demo gives up.
const TIMEOUT: Duration = Duration::from_secs(30);

pub struct Show {
    // The presenter sends images to the page until it is dropped, so it is dropped first.
    presenter: Presenter,
    page: Page,
    gl: PageGl,
    size: DeviceIntSize,
    backdrop: Backdrop,
    canvases: Vec<Canvas>,
    outcomes: Receiver<Told>,
    wants_maintenance: Arc<AtomicBool>,
    pub ledger: Ledger,
    pub snapshots: Snapshots,
    pub findings: Findings,
    frames: Frames,
    /// How the frames of each canvas came to WebRender.
    pub kinds: Vec<Kinds>,
    gfx: Vec<Gfx>,
    /// The belts, one for each device.
    pub uploads: Vec<Uploads>,
    gpu: Gpu,
}

/// What was found wrong, and how much was checked.
#[derive(Default)]
pub struct Findings {
    /// How many frames were checked.
    pub frames: usize,
    /// How many parts of the page, over all checked frames, were as they should be.
    pub verified: usize,
    pub mismatches: Vec<Mismatch>,
    pub bad_outcomes: Vec<PresentOutcome>,
}

impl Show {
    pub fn new(gl: PageGl, frames: Frames, size: (u32, u32)) -> Result<Self, DemoError> {
        let gpu = Gpu::new(InstanceFlags::empty()).ok_or(DemoError::NoAdapter)?;
        let device = || Gfx { global: gpu.global.clone(), device: gpu.device() };
        let gfx: Vec<_> = (0..DEVICES).map(|_| device()).collect();
        let uploads = gfx.iter().map(Uploads::new).collect::<Result<_, _>>()?;

        let map = ContextMap::default();
        let mut cannot_sample = None;
        let page = Page::with_loader(gl, size, |load| {
            if !frames.are_sampled() {
                return Box::new(ExternalImages::new(&map));
            }
            // SAFETY: these are functions of the page's GL, which is current whenever its renderer is called.
            let images = unsafe { ExternalImages::with_gl(&map, load) };
            Box::new(images.unwrap_or_else(|error| {
                cannot_sample = Some(error);
                ExternalImages::new(&map)
            }))
        });
        let page = page.map_err(|error| DemoError::Page(error.to_string()))?;
        if let Some(error) = cannot_sample.filter(|_| frames == Frames::Shared) {
            return Err(DemoError::NoSharedFrames(error));
        }
        let sink = WebRenderSink::new(page.new_api(), page.document());
        let (told, outcomes) = channel();
        let wants_maintenance = Arc::new(AtomicBool::new(false));
        let wake = wants_maintenance.clone();
        let options = PresenterOptions {
            // The receiver may be gone when the demo ends.
            on_outcome: Box::new(move |outcome| drop(told.send((outcome, Instant::now())))),
            wake: Arc::new(move || wake.store(true, Ordering::Relaxed)),
            ..PresenterOptions::default()
        };
        // SAFETY: only the presenter names its staging buffers: painters have buffers of their own.
        let presenter = unsafe { Presenter::new(gpu.global.clone(), &map, sink, options) };

        let size = DeviceIntSize::new(size.0 as i32, size.1 as i32);
        let canvas = |(role, index)| Canvas::new(role, ContextId(index), size, &gfx);
        let canvases = CAST.iter().zip(0..).map(canvas).collect::<Result<_, _>>()?;
        Ok(Self {
            presenter,
            page,
            gl,
            size,
            backdrop: Backdrop::new(size),
            canvases,
            outcomes,
            wants_maintenance,
            ledger: Ledger::default(),
            snapshots: Snapshots::new(),
            findings: Findings::default(),
            frames,
            kinds: vec![Kinds::default(); CAST.len()],
            gfx,
            uploads,
            gpu,
        })
    }

    pub fn adapter(&self) -> &str {
        &self.gpu.name
    }

    /// Returns the page as it was composited last, in RGBA.
    pub fn pixels(&mut self) -> Vec<u8> {
        self.page.pixels()
    }

    /// Draws, presents and composites one frame. If its picture is taken, all that is presented is awaited first, so that the picture is the same
    /// however fast the machine is.
    pub fn frame(&mut self, frame: u32, is_pictured: bool) -> Result<(), DemoError> {
        let checked = frame.is_multiple_of(CHECK_EVERY);
        self.enter_and_leave(frame)?;
        let drawn = self.draw(frame)?;
        let truths = if checked { self.truths(&drawn) } else { Vec::new() };
        self.present(&drawn, frame)?;
        self.settle(if checked || is_pictured { 0 } else { FRAMES_AHEAD * CAST.len() })?;
        self.note_reasons()?;
        if self.wants_maintenance.swap(false, Ordering::Relaxed) {
            self.presenter.maintain();
        }
        self.page.render();
        if checked {
            self.check(frame, &truths);
        }
        self.snapshots.collect();
        Ok(())
    }

    /// Waits for what is in flight, then destroys everything in the order in which an engine does.
    pub fn finish(&mut self) -> Result<(), DemoError> {
        self.settle(0)?;
        self.snapshots.finish(TIMEOUT)?;
        for index in 0..self.canvases.len() {
            if self.canvases[index].key().is_some() {
                self.canvases[index].hide();
                self.destroy(index)?;
            }
        }
        for gfx in &self.gfx {
            self.presenter.destroy_device(gfx.device.id);
            self.gpu.global.queue_drop(gfx.device.queue);
            self.presenter.drop_device(gfx.device.id);
        }
        Ok(())
    }

    /// Creates, destroys and resizes canvases for this frame.
    fn enter_and_leave(&mut self, frame: u32) -> Result<(), DemoError> {
        let (mut changed, mut leaving) = (false, Vec::new());
        for (index, canvas) in self.canvases.iter_mut().enumerate() {
            changed |= canvas.resize(frame);
            match (canvas.role.habit.is_alive(frame), canvas.key()) {
                (true, None) => {
                    canvas.create(&mut self.presenter, self.page.new_key())?;
                    changed = true;
                }
                (false, Some(_)) => {
                    canvas.hide();
                    leaving.push(index);
                    changed = true;
                }
                _ => {}
            }
        }
        if changed {
            let image = |canvas: &Canvas| Some(Item::Image(layout(canvas.area()), canvas.key()?));
            let images = self.canvases.iter().filter_map(image);
            let scene: Vec<_> = self.backdrop.items().chain(images).collect();
            self.page.set_scene(&scene);
        }
        if !leaving.is_empty() {
            // A scene takes effect later than the deletion of an image, which must not be in the scene any more then.
            self.page.build();
        }
        leaving.into_iter().try_for_each(|index| self.destroy(index))
    }

    /// Notes why the latest presents were copied. Statistics forget it with the next present that is not.
    fn note_reasons(&mut self) -> Result<(), DemoError> {
        let canvases = self.canvases.iter().zip(&mut self.kinds);
        for (canvas, kinds) in canvases.filter(|(canvas, _)| canvas.key().is_some()) {
            kinds.note(self.presenter.statistics(canvas.id)?.readback);
        }
        Ok(())
    }

    /// Destroys the context of a canvas, and counts how its frames came to WebRender.
    fn destroy(&mut self, index: usize) -> Result<(), DemoError> {
        let canvas = &self.canvases[index];
        let statistics = self.presenter.statistics(canvas.id)?;
        let kinds = &mut self.kinds[index];
        kinds.direct += statistics.direct;
        kinds.shared += statistics.shared;
        kinds.copied += statistics.copied;
        kinds.note(statistics.readback);
        canvas.destroy(&mut self.presenter)
    }

    /// Returns what to say of canvases whose frames were copied although all were to come in another way. Half floats are never shared.
    pub fn copied_without_need(&self) -> Vec<String> {
        let shares_nothing = |role: &Role| {
            let are_halves = role.looks.iter().all(|(_, format)| *format == TextureFormat::Rgba16Float);
            self.frames == Frames::Shared && are_halves
        };
        let copied = CAST
            .iter()
            .zip(&self.kinds)
            .filter(|(role, kinds)| kinds.are_copied_without_need(self.frames) && !shares_nothing(role));
        let tell = |(role, kinds): (&Role, &Kinds)| {
            format!("{} frames of {} were copied: {:?}", kinds.copied, role.name, kinds.reason)
        };
        copied.map(tell).collect()
    }

    /// Draws as script does: into a new texture for each present.
    fn draw(&mut self, frame: u32) -> Result<Vec<Drawn>, DemoError> {
        let mut drawn = Vec::new();
        // `following` is how many drawings of the same canvas follow in this frame. Most canvases have only the last one.
        for following in (0..MAX_PRESENTS).rev() {
            let time = (frame as f32 - following as f32 / MAX_PRESENTS as f32) / FRAMES_PER_SECOND;
            for (device, (gfx, uploads)) in self.gfx.iter().zip(&mut self.uploads).enumerate() {
                let now = |canvas: &&mut Canvas| {
                    canvas.is_drawn_by(device) && canvas.role.habit.presents(frame) > following
                };
                let mut canvases: Vec<_> = self.canvases.iter_mut().filter(now).collect();
                if canvases.is_empty() {
                    continue;
                }
                canvases.iter_mut().try_for_each(|canvas| canvas.upload(uploads, time))?;
                let encoder = gfx.encoder()?;
                let chunks = uploads.finish(encoder)?;
                for canvas in canvases {
                    let presenter = self.frames.are_canvas_textures().then_some(&mut self.presenter);
                    drawn.push(canvas.draw(encoder, following == 0, presenter)?);
                }
                uploads.recall(chunks, gfx.submit(encoder)?)?;
            }
        }
        for drawn in &drawn {
            self.gpu.global.texture_view_drop(drawn.view);
        }
        Ok(drawn)
    }

    fn truths(&self, drawn: &[Drawn]) -> Vec<Truth> {
        drawn.iter().filter(|drawn| drawn.is_last).map(|drawn| self.truth(drawn)).collect()
    }

    fn truth(&self, drawn: &Drawn) -> Truth {
        self.canvases[drawn.canvas].truth(&self.gpu, drawn)
    }

    /// Presents as an engine does when script's frame ends. In some frames script asks for an image before or after it.
    fn present(&mut self, drawn: &[Drawn], frame: u32) -> Result<(), DemoError> {
        // Half-way between two checks script asks for the image of the next canvas in turn: alternately of its texture and of
        // what was presented last.
        let turn = (frame / CHECK_EVERY) as usize;
        let asks = frame % CHECK_EVERY == CHECK_EVERY / 2;
        let asked = drawn.iter().filter(|drawn| drawn.is_last).cycle().nth(turn).filter(|_| asks);
        let mut question =
            asked.map(|asked| (self.canvases[asked.canvas].id, asked.pending, self.truth(asked)));
        if let Some((id, texture, truth)) = question.take_if(|_| turn.is_multiple_of(2)) {
            self.snapshots.ask(&mut self.presenter, id, Some(texture), truth, frame);
        }

        let mut batch = self.presenter.batch();
        for drawn in drawn {
            let (id, texture) = (self.canvases[drawn.canvas].id, drawn.pending);
            batch.present(id, Contents::Texture(texture), self.ledger.begin())?;
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
        batch.submit();

        if let Some((id, _, truth)) = question {
            self.snapshots.ask(&mut self.presenter, id, None, truth, frame);
        }
        Ok(())
    }

    /// Waits until no more than `open` presents are open.
    fn settle(&mut self, open: usize) -> Result<(), DemoError> {
        loop {
            while let Ok(told) = self.outcomes.try_recv() {
                self.findings.bad_outcomes.extend(self.ledger.enter(told).err());
            }
            if self.ledger.open() <= open {
                return Ok(());
            }
            let told = self.outcomes.recv_timeout(TIMEOUT);
            let open = self.ledger.open();
            let told = told.map_err(|_| DemoError::NoOutcome { open, waited: TIMEOUT })?;
            self.findings.bad_outcomes.extend(self.ledger.enter(told).err());
        }
    }

    /// Compares the page with what the textures held, and with the backdrop where a canvas does not exist.
    fn check(&mut self, frame: u32, truths: &[Truth]) {
        let mut expected = self.backdrop.pixels();
        for truth in truths {
            truth.paint(self.gl, &mut expected, self.size);
        }
        let got = self.page.pixels();
        for canvas in &self.canvases {
            match canvas.region().compare(frame, &expected, &got, self.size) {
                None => self.findings.verified += 1,
                Some(mismatch) => self.findings.mismatches.push(mismatch),
            }
        }
        self.findings.frames += 1;
    }
}
