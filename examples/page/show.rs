//! The frames: draw, present, composite, verify.

use std::sync::Arc;
use std::time::Instant;

use euclid::default::{Rect, Size2D};
use webgpu_presentation::{
    CanvasEpoch, Contents, ContextId, ContextMap, ExternalImages, PendingTexture, PresentError, Presenter,
    PresenterOptions, WebRenderSink,
};

use crate::Options;
use crate::canvas::Canvas;
use crate::failure::Failure;
use crate::gallery::{Exhibit, exhibits};
use crate::layout::{Grid, Tile, paint};
use crate::ledger::{Account, Ledger};
use crate::sample::Sample;
use crate::support::gpu::{Device, Gpu};
use crate::support::page::{Item, Page, rect};
use crate::verify::{Drawn, Pages};

/// So many frames are drawn while the first of them is not on its way to the compositor yet.
const IN_FLIGHT: u32 = 2;

/// A page with canvases.
pub struct Show {
    /// Dropped before the page, which it tells that images go.
    presenter: Presenter,
    page: Page,
    gpu: Gpu,
    devices: [Device; 2],
    ledger: Ledger,
    canvases: Vec<Canvas>,
    tiles: Vec<Tile>,
    backdrop: Vec<u8>,
    size: Size2D<u32>,
    options: Options,
    /// What the page shows at present.
    scene: Vec<(ContextId, Rect<u32>)>,
    pub verified: Verified,
}

/// What was compared.
#[derive(Default)]
pub struct Verified {
    pub frames: usize,
    pub regions: usize,
}

impl Show {
    pub fn new(options: &Options) -> Result<Self, Failure> {
        let size = options.size.into();
        let grid = Grid::new(size)?;
        let gpu = Gpu::new(Default::default()).ok_or(Failure::NoAdapter)?;
        let devices = [device(&gpu)?, device(&gpu)?];
        let map = ContextMap::default();
        let images = Box::new(ExternalImages::new(&map));
        let gl = options.gl;
        let page = Page::new(gl.into(), options.size, images)
            .map_err(|error| Failure::NoPage { gl, error: error.to_string() })?;
        let sink = Arc::new(WebRenderSink::new(page.new_api(), page.document()));
        let (sender, ledger) = Ledger::new();
        let presenter_options = PresenterOptions {
            // Nobody listens any more when the show is being taken down.
            on_outcome: Arc::new(move |outcome| drop(sender.send((outcome, Instant::now())))),
            ..PresenterOptions::default()
        };
        let presenter = Presenter::new(gpu.global.clone(), &map, sink, presenter_options);
        let exhibits = exhibits();
        let tiles = grid.tiles(exhibits.iter().map(|exhibit| exhibit.backdrop));
        let hang = |(index, exhibit): (usize, Exhibit)| {
            let device = devices[usize::from(exhibit.second)];
            Canvas::new(&gpu, device, ContextId(index as u64), grid.cell(index), exhibit)
        };
        let canvases = exhibits.into_iter().enumerate().map(hang).collect::<Result<_, _>>()?;
        let backdrop = paint(size, &tiles);
        let (options, scene) = (options.clone(), Vec::new());
        Ok(Self {
            presenter,
            page,
            gpu,
            devices,
            ledger,
            canvases,
            tiles,
            backdrop,
            size,
            options,
            scene,
            verified: Verified::default(),
        })
    }

    pub fn adapter(&self) -> &str {
        &self.gpu.name
    }

    /// Draws a frame and composites the page.
    pub fn frame(&mut self, frame: u32) -> Result<(), Failure> {
        let verify = frame.checked_rem(self.options.verify_every) == Some(0);
        if let Some(earlier) = frame.checked_sub(IN_FLIGHT) {
            self.ledger.wait_through(earlier)?;
        }
        self.check_failures()?;
        self.presenter.maintain();
        self.live_and_die(frame)?;

        let textures: Vec<_> = (self.canvases.iter_mut().enumerate())
            .filter(|(_, canvas)| canvas.key.is_some())
            .map(|(index, canvas)| (index, canvas.paint(&self.gpu, frame)))
            .collect();
        let sample = verify.then(|| self.read(frame, &textures));

        let mut batch = self.presenter.batch();
        for (index, texture) in &textures {
            let Canvas { id, name, .. } = self.canvases[*index];
            self.ledger.begin(id, frame);
            batch
                .present(id, Contents::Texture(*texture), CanvasEpoch(frame.into()))
                .map_err(|error| Failure::Present { frame, canvas: name, error: error.to_string() })?;
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
        batch.submit();

        let Some(sample) = sample else {
            self.page.render();
            return Ok(());
        };
        let asked = sample.ask(&mut self.presenter);
        self.ledger.wait_through(frame)?;
        sample.compare_images(asked)?;
        self.page.render();
        let composited = &self.page.pixels();
        let (gl, size, backdrop) = (self.options.gl, self.size, &self.backdrop);
        sample.compare_page(&Pages { gl, size, backdrop, composited })?;
        self.verified.frames += 1;
        self.verified.regions += sample.drawn.len();
        Ok(())
    }

    /// Reads what was drawn, with nothing of the crate.
    fn read(&self, frame: u32, textures: &[(usize, PendingTexture)]) -> Sample {
        let read = |(index, texture): &(usize, PendingTexture)| {
            let canvas = &self.canvases[*index];
            let drawn = Drawn {
                canvas: canvas.name,
                place: canvas.place(frame),
                format: canvas.format,
                alpha_mode: canvas.alpha_mode,
                bytes: self.gpu.read(canvas.device, texture.texture_id, texture.configuration.size),
            };
            (canvas.id, drawn)
        };
        Sample { frame, drawn: textures.iter().map(read).collect() }
    }

    /// The page as it was rendered last, as RGBA.
    pub fn pixels(&mut self) -> Vec<u8> {
        self.page.pixels()
    }

    pub fn size(&self) -> Size2D<u32> {
        self.size
    }

    pub fn accounts(&self) -> impl Iterator<Item = (&'static str, Account)> {
        self.canvases.iter().map(|canvas| (canvas.name, self.ledger.account(canvas.id)))
    }

    /// Waits for what is in flight.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.ledger.wait_through(u32::MAX)?;
        self.check_failures()
    }

    /// A present may fail only because its context was destroyed meanwhile.
    fn check_failures(&mut self) -> Result<(), Failure> {
        for (context, frame, error) in self.ledger.take_failures() {
            if let Some(canvas) = self.canvases.iter().find(|canvas| canvas.id == context)
                && !(canvas.is_mortal() && matches!(error, PresentError::ContextDestroyed))
            {
                let error = error.to_string();
                return Err(Failure::Present { frame, canvas: canvas.name, error });
            }
        }
        Ok(())
    }

    /// Creates and destroys contexts, and puts the canvases of this frame on the page.
    fn live_and_die(&mut self, frame: u32) -> Result<(), Failure> {
        for canvas in &mut self.canvases {
            if canvas.lives(frame) && canvas.key.is_none() {
                canvas.create(&mut self.presenter, self.page.new_key(), frame)?;
            }
        }
        let living = self.canvases.iter().filter(|canvas| canvas.lives(frame));
        let scene: Vec<_> = living.clone().map(|canvas| (canvas.id, canvas.place(frame))).collect();
        if scene != self.scene {
            let mut items: Vec<_> = self.tiles.iter().map(Tile::item).collect();
            for canvas in living {
                if let Some(key) = canvas.key {
                    let place = canvas.place(frame).to_f32();
                    let bounds = rect(place.min_x(), place.min_y(), place.width(), place.height());
                    items.push(Item::Image(bounds, key));
                }
            }
            self.page.set_scene(&items);
            self.scene = scene;
        }
        // Only now: no scene may show an image that is gone.
        for canvas in &mut self.canvases {
            if !canvas.lives(frame) && canvas.key.is_some() {
                canvas.destroy(&mut self.presenter)?;
            }
        }
        Ok(())
    }

    /// Ends everything in the order in which an engine does.
    pub fn take_down(mut self) -> Result<(), Failure> {
        self.page.set_scene(&[]);
        self.page.render();
        for canvas in &mut self.canvases {
            if canvas.key.is_some() {
                canvas.destroy(&mut self.presenter)?;
            }
        }
        for canvas in self.canvases {
            canvas.take_down(&self.gpu);
        }
        for device in self.devices {
            self.presenter.drop_device(device.id);
            self.gpu.global.queue_drop(device.queue);
        }
        Ok(())
    }
}

fn device(gpu: &Gpu) -> Result<Device, Failure> {
    let descriptor = wgpu_types::DeviceDescriptor {
        required_limits: gpu.global.adapter_limits(gpu.adapter),
        ..Default::default()
    };
    match gpu.global.adapter_request_device(gpu.adapter, &descriptor, None, None) {
        Ok((id, queue)) => Ok(Device { id, queue }),
        Err(error) => Err(Failure::NoDevice { adapter: gpu.name.clone(), error: error.to_string() }),
    }
}
