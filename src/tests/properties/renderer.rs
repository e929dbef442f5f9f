//! A renderer, and what it has locked.

use webrender_api::{
    ExternalImageHandler, ExternalImageId, ExternalImageSource, ImageDescriptor, ImageDescriptorFlags,
    ImageFormat,
};

use super::super::world::*;
use super::model::{BLANK, Picture};
use crate::{ContextMap, ExternalImages};

/// No picture here is larger. (What is blank is much larger.)
const LARGEST: usize = 16 << 10;

pub(super) struct Renderer {
    images: ExternalImages,
    /// Oldest first.
    locks: Vec<Lock>,
}

struct Lock {
    context: u64,
    /// What the id named.
    life: Option<usize>,
    generation: Option<u8>,
    count: usize,
    bytes: Vec<u8>,
}

/// What was locked anew.
pub(super) struct Seen {
    pub(super) len: usize,
    bytes: Vec<u8>,
}

impl Renderer {
    pub(super) fn new(map: &ContextMap) -> Self {
        Self { images: ExternalImages::new(map), locks: Vec::new() }
    }

    /// `None` if it is locked already, and unchanged, or if it is no context's.
    pub(super) fn lock(&mut self, context: u64, life: Option<usize>, generation: Option<u8>) -> Option<Seen> {
        let source = self.images.lock(ExternalImageId(context), generation);
        let is_same = |lock: &Lock| {
            lock.context == context && lock.generation == generation && (life.is_none() || lock.life == life)
        };
        let held = self.locks.iter().rposition(is_same);
        let bytes = match source {
            ExternalImageSource::RawData(bytes) => bytes,
            _ => {
                assert!(life.is_none() && held.is_none(), "a living context is never invalid");
                return None;
            }
        };
        let (len, bytes) = (bytes.len(), &bytes[..bytes.len().min(LARGEST)]);
        if let Some(held) = held {
            let held = &mut self.locks[held];
            held.count += 1;
            assert!(held.bytes == bytes, "another lock of the same is the same");
            return None;
        }
        assert!(life.is_some(), "there is no context");
        let bytes = bytes.to_vec();
        self.locks.push(Lock { context, life, generation, count: 1, bytes: bytes.clone() });
        Some(Seen { len, bytes })
    }

    /// One of its locks, if it has any.
    pub(super) fn unlock(&mut self, nth: usize) {
        let Some(lock) = self.locks.get(nth.checked_rem(self.locks.len()).unwrap_or(0)) else {
            return self.images.unlock(ExternalImageId(u64::MAX));
        };
        let (context, generation) = (lock.context, lock.generation);
        let newest = match generation {
            Some(generation) => {
                ExternalImageHandler::unlock(&mut self.images, ExternalImageId(context), generation);
                self.locks
                    .iter()
                    .rposition(|lock| lock.context == context && lock.generation == Some(generation))
            }
            // The one that was locked last.
            None => {
                self.images.unlock(ExternalImageId(context));
                self.locks.iter().rposition(|lock| lock.context == context)
            }
        };
        let newest = newest.expect("it is locked");
        self.locks[newest].count -= 1;
        if self.locks[newest].count == 0 {
            self.locks.remove(newest);
        }
    }

    pub(super) fn unlock_all(&mut self) {
        while !self.locks.is_empty() {
            self.unlock(0);
            self.look();
        }
    }

    /// What is locked is what was locked.
    pub(super) fn look(&self) {
        for context in 0..4 {
            let expected = self.locks.iter().filter(|lock| lock.context == context);
            let expected = expected.map(|lock| (lock.generation, lock.count, &lock.bytes[..]));
            let held = self.images.held(ExternalImageId(context));
            let held = held
                .map(|(generation, count, bytes)| (generation, count, &bytes[..bytes.len().min(LARGEST)]));
            assert!(held.eq(expected), "a lock of {context} was lost, or its bytes changed");
        }
    }
}

impl Seen {
    /// What a renderer shows that takes these bytes for an image so described.
    pub(super) fn picture(&self, descriptor: &ImageDescriptor) -> Picture {
        let mut pixel = uniform_pixel(ExternalImageSource::RawData(&self.bytes), descriptor);
        if descriptor.format == ImageFormat::BGRA8 {
            pixel.swap(0, 2);
        }
        let (width, height) = (descriptor.size.width as u32, descriptor.size.height as u32);
        Picture { pixel, size: size(width, height) }
    }

    /// One picture of the context, and as described. If it is one of the newest locked so far, it is no blank that stands for
    /// another.
    pub(super) fn check(
        &self,
        descriptor: &ImageDescriptor,
        is_newest: bool,
        mut pictures: impl Iterator<Item = Picture>,
    ) {
        let picture = self.picture(descriptor);
        let is_opaque = descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
        if picture.is_cleared() {
            assert!(!is_newest || picture.size == size(1, 1), "blank under {descriptor:?}");
            assert!(picture.pixel == BLANK || is_opaque, "black under {descriptor:?}");
            assert!(!is_newest || is_opaque == picture.is_opaque(), "{picture:?} under {descriptor:?}");
        } else {
            assert_eq!(picture.is_opaque(), is_opaque, "{picture:?} under {descriptor:?}");
            assert!(pictures.any(|known| known == picture), "{picture:?} is no picture of this context");
        }
    }
}
