//! The operations of this side: requests of script, and waiting for their results.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_presentation::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextDescriptor, ContextId, OwnerId,
    PendingTexture, PredefinedColorSpace,
};
use webrender_api::{IdNamespace, ImageKey};

use super::compositor::Renderer;
use super::{Canvas, Ours};
use crate::common::rest;
use crate::engine::Request;
use crate::entrant::{Entrant, FORMAT, Locker, Source, Then, pixel, receive};

impl Entrant for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn create_canvas(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) -> usize {
        let canvas = self.canvases.len();
        let id = ContextId(canvas as u64);
        self.ask("a context", move |presenter, done| {
            let descriptor = ContextDescriptor { owner: OwnerId(0), size, buffer_ids: BufferIds::Allocated };
            presenter.create_context(id, descriptor).expect("its id is new");
            presenter.set_image_key(id, ImageKey(IdNamespace(1), canvas as u32)).expect("it is alive");
            let _ = done.send(());
        });
        self.updates.add_canvas();
        self.canvases.push(Canvas { alpha_mode, drawn: None });
        canvas
    }

    fn destroy_canvas(&mut self, canvas: usize) {
        self.drop_texture(canvas);
        self.ask("the end of a context", move |presenter, done| {
            presenter.destroy_context(ContextId(canvas as u64)).expect("it is alive");
            let _ = done.send(());
        });
    }

    fn draw(&mut self, frame: &[(usize, Size2D<u32>)]) {
        frame.iter().for_each(|(canvas, _)| self.drop_texture(*canvas));
        let sizes: Vec<_> = frame.iter().map(|(_, size)| *size).collect();
        let device = self.device.clone();
        let textures = self.ask("a drawing", move |presenter, done| {
            let textures: Vec<_> = sizes.into_iter().map(|size| device.texture(size)).collect();
            device.clear(&textures);
            let submission = device.when_done(move || {
                let _ = done.send(textures);
            });
            presenter.poller().wait_for(device.id, submission);
        });
        for ((canvas, size), texture_id) in frame.iter().zip(textures) {
            let canvas = &mut self.canvases[*canvas];
            let configuration = ContextConfiguration {
                device_id: self.device.id,
                queue_id: self.device.queue,
                format: FORMAT,
                color_space: PredefinedColorSpace::Srgb,
                alpha_mode: canvas.alpha_mode,
                size: *size,
            };
            canvas.drawn = Some(PendingTexture { texture_id, encoder_ids: None, configuration });
        }
        rest();
    }

    fn present(&mut self, canvases: &[usize], then: Then) -> Duration {
        let first = self.epoch + 1;
        let start = Instant::now();
        for canvas in canvases {
            self.epoch += 1;
            let texture = self.drawn(*canvas);
            self.send(Request::Present {
                context: ContextId(*canvas as u64),
                contents: Contents::Texture(texture),
                epoch: CanvasEpoch(self.epoch),
            });
            if then == Then::Destroy {
                self.send(Request::DestroyTexture(texture.texture_id));
            }
        }
        for (canvas, epoch) in canvases.iter().zip(first..) {
            self.updates.wait_for(*canvas, epoch);
        }
        let time = start.elapsed();
        // A present that failed would have been fast.
        assert!(self.failure.get().is_none(), "{:?}", self.failure.get());
        if then == Then::Destroy {
            for canvas in canvases {
                if let Some(texture) = self.canvases[*canvas].drawn.take() {
                    self.send(Request::DropTexture(texture.texture_id));
                }
            }
        }
        time
    }

    fn get_image(&mut self, canvas: usize, source: Source) -> Duration {
        let texture = (source == Source::Drawn).then(|| self.drawn(canvas));
        let (sender, receiver) = channel();
        let start = Instant::now();
        let reply = Box::new(move |image| {
            let _ = sender.send(image);
        });
        self.send(Request::GetImage { context: ContextId(canvas as u64), texture, reply });
        let image = receive(&receiver, "an image").expect("it can be read");
        let bytes = image.to_vec();
        let time = start.elapsed();
        let pixel = pixel(self.canvases[canvas].alpha_mode);
        assert_eq!(bytes.first_chunk(), Some(&pixel), "it is what was drawn");
        time
    }

    fn start_long_work(&mut self, units: u32) {
        let (busy, (sender, receiver)) = (self.busy(), channel());
        self.ask("a submission", move |presenter, submitted| {
            busy.submit(units);
            let submission = busy.device.when_done(move || {
                let _ = sender.send(());
            });
            presenter.poller().wait_for(busy.device.id, submission);
            let _ = submitted.send(());
        });
        self.long_work = Some(receiver);
    }

    fn finish_long_work(&mut self) {
        let receiver = self.long_work.take().expect("it was started");
        receive(&receiver, "the end of long work");
    }

    fn locker(&self) -> Option<Box<dyn Locker>> {
        Some(Box::new(Renderer::new(&self.map, self.generations.clone())))
    }
}
