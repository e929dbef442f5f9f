//! Reads of a part of a canvas, and reads in a batch that share a copy.

use std::sync::mpsc::{Receiver, channel};

use euclid::default::Box2D;
use euclid::point2;

use super::world::*;
use crate::gpu::fake::Fault;
use crate::{
    Batch, ContextConfiguration, EncoderIds, GetImageError, PendingTexture, PresentError, ReturnedId,
};

fn region(min: (u32, u32), max: (u32, u32)) -> Box2D<u32> {
    Box2D::new(min.into(), max.into())
}

/// Regions that do not lie inside 4×2 pixels.
fn outside() -> [Box2D<u32>; 6] {
    [
        region((0, 0), (5, 2)),
        region((0, 0), (4, 3)),
        region((3, 0), (2, 2)),
        region((u32::MAX, 0), (4, 2)),
        region((u32::MAX, u32::MAX), (u32::MAX, u32::MAX)),
        region((1, 1), (u32::MAX, u32::MAX)),
    ]
}

impl World {
    fn get_region(&mut self, texture: Option<PendingTexture>, region: Box2D<u32>) -> Receiver<Answer> {
        let (sender, receiver) = channel();
        // A test that drops the receiver looks at no answer.
        let reply = move |answer| drop(sender.send(answer));
        self.presenter.get_image_region(CONTEXT, texture, region, reply);
        receiver
    }
}

fn read_in(
    batch: &mut Batch<'_>,
    texture: Option<PendingTexture>,
    region: Option<Box2D<u32>>,
) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    // A test that drops the receiver looks at no answer.
    let reply = move |answer| drop(sender.send(answer));
    match region {
        Some(region) => batch.get_image_region(CONTEXT, texture, region, reply),
        None => batch.get_image(CONTEXT, texture, reply),
    }
    receiver
}

#[track_caller]
fn assert_outside(answer: &Receiver<Answer>) {
    let answer = answer.recv_timeout(TIMEOUT).expect("it is answered");
    assert!(matches!(answer, Err(GetImageError::Region(_))), "{answer:?}");
}

// One pixel under the pointer must not cost a copy of the canvas.
#[rstest]
fn only_the_part_of_a_texture_that_is_read_is_copied(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(4000, 100));
    let read = world.get_region(Some(texture), region((3999, 98), (4000, 100)));
    assert_eq!(world.gpu.largest_buffer(), 4096, "two rows of 256 bytes, in a buffer of the smallest size");
    world.gpu.finish(device(0));
    let image = answer(&read).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(1, 2), [1, 2, 3, 4]));
}

#[rstest]
fn a_part_of_what_is_shown_is_not_copied(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let sequence = world.present([1, 2, 3, 4], 1);
    let early = world.get_region(None, region((1, 0), (4, 1)));
    world.finish(sequence);
    let (buffers, whole) = (world.gpu.created(), world.read_image());
    let start = |image: &crate::Snapshot| image.rows().unwrap().next_row().unwrap().as_ptr();
    for read in [early, world.get_region(None, region((1, 0), (4, 1)))] {
        let image = answer(&read).unwrap();
        assert_eq!((image.size(), first_pixel(&image)), (size(3, 1), [1, 2, 3, 4]));
        assert_eq!(start(&image), start(&whole).wrapping_add(4));
    }
    assert_eq!(world.gpu.created(), buffers);
}

#[rstest]
fn a_region_outside_the_canvas_is_an_error(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let image = world.read_image();
    for outside in outside() {
        assert_outside(&world.get_region(None, outside));
        let texture = world.texture(GREEN, size(4, 2));
        assert_outside(&world.get_region(Some(texture), outside));
        let error = image.region(outside).unwrap_err();
        assert_eq!((error.region, error.size), (outside, size(4, 2)));
    }
    assert_eq!(world.in_flight(), 0);
}

#[rstest]
fn an_empty_region_is_an_empty_image(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    let texture = world.texture(GREEN, size(4, 2));
    for (empty, size) in [
        (region((4, 2), (4, 2)), size(0, 0)),
        (region((1, 0), (1, 2)), size(0, 2)),
        (region((0, 1), (4, 1)), size(4, 0)),
    ] {
        for read in [world.get_region(None, empty), world.get_region(Some(texture), empty)] {
            let image = answer(&read).unwrap();
            assert_eq!(image.size(), size);
            assert!(image.to_vec().unwrap().is_empty() && image.rows().unwrap().next_row().is_none());
        }
    }
    // A canvas without pixels has an empty part too.
    let configuration = ContextConfiguration { size: size(0, 7), ..texture.configuration };
    let read = world.get_region(Some(PendingTexture { configuration, ..texture }), region((0, 3), (0, 7)));
    assert_eq!(answer(&read).unwrap().size(), size(0, 4));
}

#[rstest]
fn a_region_of_a_texture_that_is_too_large_to_be_read_is_read(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(u32::MAX, u32::MAX));
    let corner = Box2D::new(point2(u32::MAX - 3, u32::MAX - 2), point2(u32::MAX, u32::MAX));
    let read = world.get_region(Some(texture), corner);
    world.gpu.finish(device(0));
    let image = answer(&read).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(3, 2), [1, 2, 3, 4]));
    let half = Box2D::new(point2(1, 1), point2(u32::MAX, u32::MAX));
    let error = answer(&world.get_region(Some(texture), half)).unwrap_err();
    assert!(matches!(error, GetImageError::Texture(PresentError::TooLarge(_))), "{error:?}");
}

#[rstest]
fn reads_of_a_texture_in_one_batch_share_a_copy(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(4, 2));
    let mut batch = world.presenter.batch();
    let whole: Vec<_> = (0..5).map(|_| read_in(&mut batch, Some(texture), None)).collect();
    let part = read_in(&mut batch, Some(texture), Some(region((1, 1), (3, 2))));
    batch.destroy_texture(texture.texture_id);
    batch.submit();
    assert_eq!((world.gpu.submits(), world.gpu.created(), world.in_flight()), (1, 1, 1));
    world.gpu.finish(device(0));
    for read in whole {
        let image = answer(&read).unwrap();
        assert_eq!((image.size(), first_pixel(&image)), (size(4, 2), [1, 2, 3, 4]));
        assert!(read.recv_timeout(TIMEOUT).is_err(), "it is answered once");
    }
    let image = answer(&part).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(2, 1), [1, 2, 3, 4]));
}

#[rstest]
fn parts_share_the_copy_of_a_part_that_contains_them(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(40, 20));
    let mut batch = world.presenter.batch();
    let outer = read_in(&mut batch, Some(texture), Some(region((10, 5), (20, 15))));
    let inner = read_in(&mut batch, Some(texture), Some(region((12, 5), (20, 6))));
    let other = read_in(&mut batch, Some(texture), Some(region((9, 5), (12, 6))));
    batch.submit();
    assert_eq!(world.in_flight(), 2, "the last one is not contained");
    world.gpu.finish(device(0));
    let sizes = [outer, inner, other].map(|read| answer(&read).unwrap().size());
    assert_eq!(sizes, [size(10, 10), size(8, 1), size(3, 1)]);
}

#[rstest]
fn what_differs_is_copied_for_each_read(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(4, 2));
    let other = world.texture([5, 6, 7, 8], size(4, 2));
    let mut opaque = texture;
    opaque.configuration.alpha_mode = crate::AlphaMode::Opaque;
    let mut batch = world.presenter.batch();
    let reads = [texture, other, opaque].map(|texture| read_in(&mut batch, Some(texture), None));
    batch.submit();
    world.gpu.finish(device(0));
    let pixels = reads.map(|read| answered_pixel(&read));
    assert_eq!(pixels, [[1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 255]]);
    // What was drawn in between belongs to the later batch alone.
    let mut submits = world.gpu.submits();
    for _ in 0..2 {
        let read = world.get_image(Some(texture));
        submits += 1;
        assert_eq!(world.gpu.submits(), submits);
        drop(read);
    }
}

#[rstest]
fn each_read_of_a_bad_texture_gets_the_error(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.faulty(Fault::Invalid);
    let mut batch = world.presenter.batch();
    let reads = [0; 3].map(|_| read_in(&mut batch, Some(texture), None));
    batch.submit();
    for read in reads {
        let error = answer(&read).unwrap_err();
        assert!(matches!(error, GetImageError::Texture(PresentError::TextureInvalid)), "{error:?}");
        assert!(read.recv_timeout(TIMEOUT).is_err(), "it is answered once");
    }
}

#[rstest]
fn reads_that_share_a_copy_count_each_and_hand_back_their_ids(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let texture = world.texture([1, 2, 3, 4], size(4, 2));
    let mut batch = world.presenter.batch();
    let reads: Vec<_> = (0..1030)
        .map(|index| {
            let ids = EncoderIds {
                command_encoder: wgpu_core::id::Id::zip(index, 1),
                command_buffer: wgpu_core::id::Id::zip(index, 1),
            };
            read_in(&mut batch, Some(with_ids(texture, ids)), None)
        })
        .collect();
    batch.submit();
    world.gpu.finish(device(0));
    let answers: Vec<_> = reads.iter().map(answer).collect();
    assert!(answers[..1024].iter().all(Result::is_ok));
    assert!(answers[1024..].iter().all(|answer| matches!(answer, Err(GetImageError::TooManyReads))));
    world.sync();
    let encoders = world.recorder.get(|record| {
        let is_encoder = |id: &&ReturnedId| matches!(id, ReturnedId::CommandEncoder(_));
        record.ids.iter().filter(is_encoder).count()
    });
    assert_eq!(encoders, 1030);
}

// Another thread may end the context at any moment.
#[rstest]
fn reads_of_a_context_that_ends_meanwhile_are_answered(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let (texture, map) = (world.texture([1, 2, 3, 4], size(4, 2)), world.map.clone());
    let mut batch = world.presenter.batch();
    let first = read_in(&mut batch, Some(texture), None);
    let second = read_in(&mut batch, Some(texture), None);
    map.destroy_owner(crate::OwnerId(0));
    let third = read_in(&mut batch, Some(texture), None);
    batch.submit();
    for read in [first, second, third] {
        assert_unknown(&read);
    }
}
