//! Images that script takes away, with `transferToImageBitmap()`: they are gone for script and stay on screen.

use std::sync::mpsc::{Receiver, channel};

use super::world::*;
use crate::{AlphaMode, BufferIds, GetImageError, PendingTexture, PresentError};

const FIRST: [u8; 4] = [1, 2, 3, 4];
const OTHER: [u8; 4] = [5, 6, 7, 8];

impl World {
    fn take_image(&mut self, texture: Option<PendingTexture>) -> Receiver<Answer> {
        let (sender, receiver) = channel();
        // A test that drops the receiver looks at no answer.
        self.presenter.take_image(CONTEXT, texture, move |answer| drop(sender.send(answer)));
        receiver
    }

    #[track_caller]
    fn take_pixel(&mut self) -> [u8; 4] {
        answered_pixel(&self.take_image(None))
    }
}

#[rstest]
fn an_image_that_was_taken_is_not_read_again_but_still_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.show(FIRST, 1);
    assert_eq!(world.take_pixel(), FIRST);
    let acknowledged = world.acknowledged();
    for image in [world.take_image(None), world.get_image(None)] {
        let image = answer(&image).unwrap();
        assert_eq!((image.size(), first_pixel(&image)), (size(4, 2), CLEAR));
    }
    assert_eq!((world.shown(), world.acknowledged()), (FIRST, acknowledged));
    // A new key shows it too.
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    assert_eq!(world.shown(), FIRST);
    world.show(OTHER, 2);
    world.assert_shows(OTHER);
}

#[rstest]
fn what_is_taken_of_an_opaque_canvas_leaves_opaque_black(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut texture = world.texture([1, 2, 3, 4], size(4, 2));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    world.show_texture(texture, 1);
    assert_eq!(world.take_pixel(), [1, 2, 3, 255]);
    assert_eq!(world.read_pixel(), [0, 0, 0, 255]);
}

#[rstest]
fn an_image_is_taken_while_it_is_in_flight(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let sequence = world.present(FIRST, 1);
    let taken = world.take_image(None);
    // The second take is answered at once, because nothing more is in flight for it.
    let second = answer(&world.take_image(None)).unwrap();
    assert_eq!((second.size(), first_pixel(&second)), (size(4, 2), CLEAR));
    world.finish(sequence);
    assert_eq!(answered_pixel(&taken), FIRST);
    assert_eq!((world.shown(), world.read_pixel()), (FIRST, CLEAR));
}

#[rstest]
fn a_take_of_an_image_that_fails_says_why(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(FIRST, 1);
    world.present([9; 4], 2);
    let taken = world.take_image(None);
    world.gpu.lose(device(0));
    let error = answer(&taken).unwrap_err();
    assert!(matches!(error, GetImageError::Texture(PresentError::DeviceLost)), "{error}");
    assert_eq!((world.read_pixel(), world.shown()), (CLEAR, FIRST));
}

// Script took that image or none. One that is presented later, and read again, must not be the answer.
#[rstest]
fn an_image_taken_that_fails_is_not_what_was_presented_since(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present([9; 4], 1);
    let taken = world.take_image(None);
    world.show_texture(world.texture_on(1, FIRST), 2);
    world.gpu.lose(device(0));
    let error = answer(&taken).unwrap_err();
    assert!(matches!(error, GetImageError::Texture(PresentError::DeviceLost)), "{error}");
    world.assert_shows(FIRST);
}

#[rstest]
fn two_images_taken_in_flight_are_two(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(OTHER, 1);
    world.present([9; 4], 2);
    let lost = world.take_image(None);
    world.present_texture(world.texture_on(1, FIRST), 3).unwrap();
    let taken = world.take_image(None);
    world.gpu.lose(device(0));
    assert!(answer(&lost).is_err(), "the one before it was not asked for");
    world.gpu.finish(device(1));
    assert_eq!(answered_pixel(&taken), FIRST);
}

#[rstest]
fn a_texture_that_is_taken_leaves_a_cleared_drawing_buffer_of_its_size(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.show(FIRST, 1);
    let texture = world.texture(OTHER, size(3, 3));
    let taken = world.take_image(Some(texture));
    world.gpu.finish(device(0));
    assert_eq!(answered_pixel(&taken), OTHER);
    let left = world.read_image();
    assert_eq!((left.size(), first_pixel(&left)), (size(3, 3), CLEAR));
    assert_eq!(world.shown(), FIRST);
}

#[rstest]
fn a_clear_after_a_take_is_read(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.show(FIRST, 1);
    world.take_pixel();
    world.present_blank(size(9, 1), AlphaMode::Opaque, 2);
    let image = world.read_image();
    assert_eq!((image.size(), first_pixel(&image)), (size(9, 1), [0, 0, 0, 255]));
}

#[rstest]
fn nothing_is_taken_of_a_context_that_is_gone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(answer(&world.take_image(None)).is_err());
    world.create(BufferIds::Allocated);
    let texture = world.texture(OTHER, size(3, 3));
    let taken = world.take_image(Some(texture));
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.gpu.finish(device(0));
    assert!(answer(&taken).is_err());
}
