//! What script and renderers get from a presenter.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use webrender_api::{ExternalImageSource, ImageDescriptor};

use super::world::*;
use crate::{
    Awaited, CanvasEpoch, ContextId, ContextMap, ExternalImages, GetImageError, PendingTexture, Presenter,
    Snapshot,
};

pub(super) type Answer = Result<Snapshot, GetImageError>;

pub(super) fn read(
    presenter: &mut Presenter,
    id: ContextId,
    texture: Option<PendingTexture>,
) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    // A test that drops the receiver looks at no answer.
    presenter.get_image(id, texture, move |answer| drop(sender.send(answer)));
    receiver
}

#[track_caller]
pub(super) fn answer(receiver: &Receiver<Answer>) -> Answer {
    receiver.recv_timeout(TIMEOUT).expect("get_image is answered")
}

#[track_caller]
pub(super) fn assert_unknown(receiver: &Receiver<Answer>) {
    let answer = answer(receiver);
    assert!(matches!(answer, Err(GetImageError::UnknownContext(_))), "{answer:?}");
}

pub(super) fn wait_on(map: &ContextMap, id: ContextId, epoch: u64, timeout: Duration) -> Receiver<Awaited> {
    let (sender, receiver) = channel();
    // A test that drops the receiver looks at no answer.
    map.when_presented(id, CanvasEpoch(epoch), timeout, move |awaited| drop(sender.send(awaited)));
    receiver
}

#[track_caller]
pub(super) fn first_pixel(snapshot: &Snapshot) -> [u8; 4] {
    let bytes = snapshot.to_vec().unwrap();
    let (pixels, _) = bytes.as_chunks::<4>();
    assert!(pixels.iter().all(|pixel| *pixel == pixels[0]), "one frame: {pixels:?}");
    pixels[0]
}

/// Locks the image of [`CONTEXT`] and returns its pixel.
#[track_caller]
pub(super) fn lock(images: &mut ExternalImages, offer: (ImageDescriptor, u8)) -> [u8; 4] {
    uniform_pixel(images.lock(CONTEXT.into(), Some(offer.1)), &offer.0)
}

/// Reads what WebRender would: all rows that the descriptor tells of.
#[track_caller]
pub(super) fn uniform_pixel(source: ExternalImageSource<'_>, descriptor: &ImageDescriptor) -> [u8; 4] {
    let ExternalImageSource::RawData(bytes) = source else { panic!("a living context is never invalid") };
    let (width, height) = (descriptor.size.width as usize, descriptor.size.height as usize);
    assert!(width > 0 && height > 0, "WebRender's backend panics on an empty image");
    let stride = descriptor.compute_stride() as usize;
    assert!(bytes.len() >= stride * height, "WebRender asserts on short data");
    let rows = bytes.chunks(stride).take(height).map(|row| &row[..width * 4]);
    let pixels: Vec<[u8; 4]> = rows.flat_map(|row| row.as_chunks::<4>().0.to_vec()).collect();
    assert!(pixels.iter().all(|pixel| *pixel == pixels[0]), "a torn frame: {pixels:?}");
    pixels[0]
}

/// Locks the newest frame of a context and returns its first pixel. `None` if there is no such context; otherwise the frame
/// stays locked.
pub(super) fn lock_newest(images: &mut ExternalImages, id: ContextId) -> Option<[u8; 4]> {
    match images.lock(id.into(), None) {
        ExternalImageSource::RawData(bytes) => bytes.first_chunk().copied(),
        ExternalImageSource::NativeTexture(_) | ExternalImageSource::Invalid => None,
    }
}

/// What script got, which must be one color.
#[track_caller]
pub(super) fn answered_pixel(receiver: &Receiver<Answer>) -> [u8; 4] {
    first_pixel(&answer(receiver).unwrap())
}
