//! The compositor for this crate: it observes image updates, and locks what they announce.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;

use webgpu_presentation::{CanvasEpoch, ContextMap, ExternalImages, ImageSink};
use webrender_api::{
    ExternalImageData, ExternalImageHandler, ExternalImageId, ExternalImageSource, ImageDescriptor, ImageKey,
};

use crate::entrant::{Locker, Update};

/// Upper bound of the number of canvases in a case.
const CANVASES: usize = 2048;

/// The generation of each canvas that WebRender was told last. Cheap to clone.
#[derive(Clone)]
pub struct Generations(Arc<[AtomicU8]>);

impl Generations {
    pub fn new() -> Self {
        Self((0..CANVASES).map(|_| AtomicU8::new(0)).collect())
    }
}

pub struct Sink {
    pub updates: Sender<Update>,
    pub generations: Generations,
}

impl ImageSink for Sink {
    fn add_image(&self, _: ImageKey, _: ImageDescriptor, _: ExternalImageData) {}

    fn update_image(
        &self,
        key: ImageKey,
        _: ImageDescriptor,
        data: ExternalImageData,
        epoch: Option<CanvasEpoch>,
    ) {
        let canvas = key.1 as usize;
        self.generations.0[canvas].store(data.channel_index, Ordering::Relaxed);
        if let Some(CanvasEpoch(epoch)) = epoch {
            // The receiver is gone once the case is over.
            let _ = self.updates.send(Update { canvas, epoch });
        }
    }

    fn delete_image(&self, _: ImageKey) {}
}

pub struct Renderer {
    images: ExternalImages,
    generations: Generations,
}

impl Renderer {
    pub fn new(map: &ContextMap, generations: Generations) -> Self {
        Self { images: ExternalImages::new(map), generations }
    }

    fn with<T>(&mut self, canvas: usize, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let (id, generation) =
            (ExternalImageId(canvas as u64), self.generations.0[canvas].load(Ordering::Relaxed));
        let image = ExternalImageHandler::lock(&mut self.images, id, generation, false);
        let read = match image.source {
            ExternalImageSource::RawData(bytes) => Some(read(bytes)),
            _ => None,
        };
        ExternalImageHandler::unlock(&mut self.images, id, generation);
        read
    }
}

impl Locker for Renderer {
    fn lock_and_unlock(&mut self, canvas: usize) {
        let len = self.with(canvas, <[u8]>::len);
        std::hint::black_box(len).expect("it can be locked");
    }

    fn first_pixel(&mut self, canvas: usize) -> Option<[u8; 4]> {
        self.with(canvas, |bytes| bytes.first_chunk().copied()).flatten()
    }
}
