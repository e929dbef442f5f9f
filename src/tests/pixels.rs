//! Canvases of half floats and of P3: what is shown is 8 bits of sRGB, what is read is what was drawn. And images taken away.

use half::f16;
use wgpu_types::TextureFormat;

use super::world::*;
use crate::gpu::fake;
use crate::{
    AlphaEncoding, AlphaMode, BufferIds, CanvasEpoch, Contents, ContextConfiguration, CopyPixelsError,
    GetImageError, PendingTexture, PixelEncoding, PixelFormat, PredefinedColorSpace, PresentError, Snapshot,
};

const P3_RED: [f32; 4] = [1.0, 0.0, 0.0, 1.0];

fn halves(pixel: [f32; 4]) -> Vec<u8> {
    pixel.into_iter().flat_map(|value| f16::from_f32(value).to_le_bytes()).collect()
}

impl World {
    fn half_floats(
        &self,
        pixel: [f32; 4],
        alpha_mode: AlphaMode,
        color_space: PredefinedColorSpace,
    ) -> PendingTexture {
        let texture_id = self.gpu.texture_of(fake::device(0), &halves(pixel), None);
        let configuration = ContextConfiguration {
            format: TextureFormat::Rgba16Float,
            alpha_mode,
            color_space,
            ..configuration(0, size(4, 2))
        };
        PendingTexture { texture_id, encoder_ids: None, configuration }
    }

    fn take_image(&mut self, texture: Option<PendingTexture>) -> std::sync::mpsc::Receiver<Answer> {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.presenter.take_image(CONTEXT, texture, move |answer| {
            // The receiver may be gone: that is no error.
            let _ = sender.send(answer);
        });
        receiver
    }
}

fn encoding(format: PixelFormat, color_space: PredefinedColorSpace, alpha: AlphaEncoding) -> PixelEncoding {
    PixelEncoding { format, color_space, alpha }
}

fn assert_all(bytes: &[u8], pixel: &[u8]) {
    assert_eq!(bytes, pixel.repeat(bytes.len() / pixel.len()));
    assert!(!bytes.is_empty());
}

#[rstest]
fn half_floats_are_shown_as_bytes_and_read_as_they_are(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let pixel = [0.4, 2.0, -1.0, 0.5];
    let texture = world.half_floats(pixel, AlphaMode::Premultiplied, PredefinedColorSpace::Srgb);
    let sequence = world.present_texture(texture, 1).unwrap();
    // Asked before it is there, and after.
    let before = world.get_image(None);
    world.finish(sequence);
    assert_eq!(world.shown(), [0, 255, 102, 128], "BGRA");
    for image in [answer(&before).unwrap(), answer(&world.get_image(None)).unwrap()] {
        assert_eq!(
            (image.format(), image.color_space()),
            (PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb)
        );
        assert_all(&image.to_vec(), &halves(pixel));
        assert_eq!((image.rows().count(), image.rows().next().unwrap().len()), (2, 32));
        assert_all(&image.to_straight_rgba(), &[204, 255, 0, 128]);
    }
}

#[rstest]
fn opaque_half_floats_have_alpha_1(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.half_floats([0.4, 0.0, 1.0, 0.25], AlphaMode::Opaque, PredefinedColorSpace::Srgb);
    let captured = world.get_image(Some(texture));
    world.gpu.finish(device(0));
    assert_all(&answer(&captured).unwrap().to_vec(), &halves([0.4, 0.0, 1.0, 1.0]));
    let sequence = world.present_texture(texture, 1).unwrap();
    world.finish(sequence);
    assert_eq!(world.shown(), [255, 0, 102, 255]);
}

// R1. A texture that is read alone is not looked at before it is copied, converted or not.
#[rstest]
fn a_captured_opaque_texture_has_alpha_255_in_whatever_way_it_is_read(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for alpha in [102, 255] {
        let mut world = World::new(memory);
        let mut texture = world.texture([102, 51, 0, alpha], size(4, 3));
        texture.configuration.alpha_mode = AlphaMode::Opaque;
        let captured = world.get_image(Some(texture));
        world.gpu.finish(device(0));
        let image = answer(&captured).unwrap();
        let opaque = [102, 51, 0, 255];
        assert_all(&image.to_vec(), &opaque);
        assert_all(&image.to_straight_rgba(), &[0, 51, 102, 255]);
        assert_eq!(image.rows().collect::<Vec<_>>(), vec![opaque.repeat(4); 3]);
        let first = |image: &Snapshot| image.rows().next().unwrap().as_ptr();
        assert_eq!(first(&image), first(&image.clone()), "copied once at most");
        let mut strided = [7; 20 + 20 + 16];
        image
            .copy_into(
                &mut strided,
                20,
                encoding(PixelFormat::Bgra8, PredefinedColorSpace::Srgb, AlphaEncoding::Straight),
            )
            .unwrap();
        assert_eq!(strided, [&opaque.repeat(4)[..], &[7; 4]].concat().repeat(3)[..56]);
        let half = |byte: u8| f32::from(byte) / 255.0;
        let halved = image.convert(encoding(
            PixelFormat::Rgba16Float,
            PredefinedColorSpace::Srgb,
            AlphaEncoding::Straight,
        ));
        assert_all(&halved, &halves([half(0), half(51), half(102), 1.0]));
    }
}

// R6.
#[rstest]
fn p3_is_shown_as_srgb_and_read_as_it_is(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let half_float = world.half_floats(P3_RED, AlphaMode::Opaque, PredefinedColorSpace::DisplayP3);
    let sequence = world.present_texture(half_float, 1).unwrap();
    world.finish(sequence);
    assert_eq!(world.shown(), [0, 0, 255, 255]);
    let image = answer(&world.get_image(None)).unwrap();
    assert_eq!(image.color_space(), PredefinedColorSpace::DisplayP3);
    assert_all(&image.to_vec(), &halves(P3_RED));

    // 8 bits, premultiplied: 111.49 of 102 is not clamped before alpha.
    let mut texture = world.texture([0, 0, 102, 102], size(4, 2));
    texture.configuration.color_space = PredefinedColorSpace::DisplayP3;
    let sequence = world.present_texture(texture, 2).unwrap();
    world.finish(sequence);
    assert_eq!(world.shown(), [0, 0, 111, 102]);
    let image = answer(&world.get_image(None)).unwrap();
    assert_all(&image.to_vec(), &[0, 0, 102, 102]);
    let p3 = encoding(PixelFormat::Rgba8, PredefinedColorSpace::DisplayP3, AlphaEncoding::Straight);
    assert_all(&image.convert(p3), &[255, 0, 0, 102]);
}

// R22: one byte order per key, whatever is converted.
#[rstest]
fn converted_frames_keep_the_byte_order_of_their_key(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut rgba = world.texture([1, 2, 3, 255], size(4, 2));
    rgba.configuration.format = TextureFormat::Rgba8Unorm;
    let sequence = world.present_texture(rgba, 1).unwrap();
    world.finish(sequence);
    let first = world.last_offer().0.format;
    let texture = world.half_floats(P3_RED, AlphaMode::Premultiplied, PredefinedColorSpace::Srgb);
    let sequence = world.present_texture(texture, 2).unwrap();
    world.finish(sequence);
    assert_eq!(world.shown(), [255, 0, 0, 255]);
    assert_eq!(world.last_offer().0.format, first);
}

// P8: no memory is allocated for each frame, and an idle canvas keeps one of each.
#[rstest]
fn converted_frames_use_the_memory_of_earlier_ones(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for epoch in 1..20 {
        let texture = world.half_floats(P3_RED, AlphaMode::Premultiplied, PredefinedColorSpace::DisplayP3);
        let sequence = world.present_texture(texture, epoch).unwrap();
        world.finish(sequence);
        assert_eq!(world.shown(), [0, 0, 255, 255]);
        let held: usize = world.presenter.memory_report().iter().map(|report| report.bytes).sum();
        // Staging buffers have 4096 bytes; so many of them, and what was made of them.
        assert!(held <= 4 * 4096 + 4 * 512, "frame {epoch} holds {held} bytes");
    }
    let image = answer(&world.get_image(None)).unwrap();
    assert_all(&image.to_vec(), &halves(P3_RED));
}

#[rstest]
fn snapshots_outlive_what_replaced_them(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let images: Vec<Snapshot> = (0..5u64)
        .map(|i| {
            let texture = world.half_floats(
                [i as f32, 0.0, 0.0, 1.0],
                AlphaMode::Premultiplied,
                PredefinedColorSpace::Srgb,
            );
            let sequence = world.present_texture(texture, i).unwrap();
            world.finish(sequence);
            answer(&world.get_image(None)).unwrap()
        })
        .collect();
    world.presenter.destroy_context(CONTEXT).unwrap();
    for (i, image) in (0..5u64).zip(images) {
        assert_all(&image.to_vec(), &halves([i as f32, 0.0, 0.0, 1.0]));
    }
}

// R13.
#[rstest]
fn half_floats_of_no_size_and_of_impossible_sizes(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.half_floats(P3_RED, AlphaMode::Opaque, PredefinedColorSpace::DisplayP3);
    for empty in [size(0, 0), size(0, 9), size(9, 0)] {
        let configuration = ContextConfiguration { size: empty, ..texture.configuration };
        let texture = PendingTexture { configuration, ..texture };
        let image = answer(&world.get_image(Some(texture))).unwrap();
        assert_eq!((image.size(), image.to_vec().len()), (empty, 0));
        world.present_texture(texture, 1).unwrap();
        assert_eq!(world.shown(), [0, 0, 0, 255]);
        assert_eq!(answer(&world.get_image(None)).unwrap().size(), empty);
    }
    for large in [size(16384, 16384), size(u32::MAX / 8 + 1, 1), size(1, u32::MAX)] {
        let configuration = ContextConfiguration { size: large, ..texture.configuration };
        let result = world.present_texture(PendingTexture { configuration, ..texture }, 2);
        assert!(matches!(result, Err(PresentError::TooLarge(_))), "{large:?}: {result:?}");
    }
}

// `transferToImageBitmap`.
#[rstest]
fn an_image_that_was_taken_is_not_read_again_but_still_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let first = world.present([1, 2, 3, 4], 1);
    world.finish(first);
    assert_eq!(first_pixel(&answer(&world.take_image(None)).unwrap()), [1, 2, 3, 4]);
    let acknowledged = world.acknowledged();
    for image in [world.take_image(None), world.get_image(None)] {
        let image = answer(&image).unwrap();
        assert_eq!((image.size(), first_pixel(&image)), (size(4, 2), [0; 4]));
    }
    assert_eq!((world.shown(), world.acknowledged()), ([1, 2, 3, 4], acknowledged));
    // A new key shows it too.
    world.presenter.set_image_key(CONTEXT, key(2)).unwrap();
    assert_eq!(world.shown(), [1, 2, 3, 4]);
    let second = world.present([5, 6, 7, 8], 2);
    world.finish(second);
    assert_eq!((world.shown(), world.read_pixel()), ([5, 6, 7, 8], [5, 6, 7, 8]));
}

#[rstest]
fn what_is_taken_of_an_opaque_canvas_leaves_opaque_black(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut texture = world.texture([1, 2, 3, 4], size(4, 2));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    let sequence = world.present_texture(texture, 1).unwrap();
    world.finish(sequence);
    assert_eq!(first_pixel(&answer(&world.take_image(None)).unwrap()), [1, 2, 3, 255]);
    assert_eq!(world.read_pixel(), [0, 0, 0, 255]);
}

#[rstest]
fn an_image_is_taken_while_it_is_in_flight(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let sequence = world.present([1, 2, 3, 4], 1);
    let taken = world.take_image(None);
    // At once: nothing more is in flight for it.
    let second = answer(&world.take_image(None)).unwrap();
    assert_eq!((second.size(), first_pixel(&second)), (size(4, 2), [0; 4]));
    world.finish(sequence);
    assert_eq!(first_pixel(&answer(&taken).unwrap()), [1, 2, 3, 4]);
    assert_eq!((world.shown(), world.read_pixel()), ([1, 2, 3, 4], [0; 4]));
}

#[rstest]
fn an_image_taken_in_flight_that_fails_is_the_last_good_one(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let sequence = world.present([1, 2, 3, 4], 1);
    world.finish(sequence);
    world.present([9; 4], 2);
    let taken = world.take_image(None);
    world.gpu.lose(device(0));
    assert_eq!(first_pixel(&answer(&taken).unwrap()), [1, 2, 3, 4]);
    assert_eq!((world.read_pixel(), world.shown()), ([0; 4], [1, 2, 3, 4]));
}

// What script took is that image or none: not one that is presented, and read, later.
#[rstest]
fn an_image_taken_that_fails_is_not_what_was_presented_since(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.present([9; 4], 1);
    let taken = world.take_image(None);
    let later = pending(world.gpu.texture(device(1), [1, 2, 3, 4], None), 1, size(4, 2));
    let later = world.present_texture(later, 2).unwrap();
    world.gpu.finish(device(1));
    world.until_ended(later);
    world.gpu.lose(device(0));
    let error = answer(&taken).unwrap_err();
    assert!(matches!(error, GetImageError::Texture(PresentError::DeviceLost)), "{error}");
    assert_eq!((world.read_pixel(), world.shown()), ([1, 2, 3, 4], [1, 2, 3, 4]));
}

#[rstest]
fn two_images_taken_in_flight_are_two(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let first = world.present([5, 6, 7, 8], 1);
    world.finish(first);
    world.present([9; 4], 2);
    let lost = world.take_image(None);
    let later = pending(world.gpu.texture(device(1), [1, 2, 3, 4], None), 1, size(4, 2));
    world.present_texture(later, 3).unwrap();
    let taken = world.take_image(None);
    world.gpu.lose(device(0));
    assert_eq!(first_pixel(&answer(&lost).unwrap()), [5, 6, 7, 8], "the last good one before it");
    world.gpu.finish(device(1));
    assert_eq!(first_pixel(&answer(&taken).unwrap()), [1, 2, 3, 4]);
}

#[rstest]
fn a_texture_that_is_taken_leaves_a_cleared_drawing_buffer_of_its_size(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let sequence = world.present([1, 2, 3, 4], 1);
    world.finish(sequence);
    let texture = world.texture([5, 6, 7, 8], size(3, 3));
    let taken = world.take_image(Some(texture));
    world.gpu.finish(device(0));
    assert_eq!(first_pixel(&answer(&taken).unwrap()), [5, 6, 7, 8]);
    let left = answer(&world.get_image(None)).unwrap();
    assert_eq!((left.size(), first_pixel(&left)), (size(3, 3), [0; 4]));
    assert_eq!(world.shown(), [1, 2, 3, 4]);
}

#[rstest]
fn a_clear_after_a_take_is_read(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let sequence = world.present([1, 2, 3, 4], 1);
    world.finish(sequence);
    answer(&world.take_image(None)).unwrap();
    let contents = Contents::Cleared { size: size(9, 1), alpha_mode: AlphaMode::Opaque };
    world.presenter.present(CONTEXT, contents, CanvasEpoch(2)).unwrap();
    let image = answer(&world.get_image(None)).unwrap();
    assert_eq!((image.size(), first_pixel(&image)), (size(9, 1), [0, 0, 0, 255]));
}

#[rstest]
fn nothing_is_taken_of_a_context_that_is_gone(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    world.presenter.destroy_context(CONTEXT).unwrap();
    assert!(answer(&world.take_image(None)).is_err());
    world.create(BufferIds::Allocated);
    let texture = world.texture([5, 6, 7, 8], size(3, 3));
    let taken = world.take_image(Some(texture));
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.gpu.finish(device(0));
    assert!(answer(&taken).is_err());
}

#[rstest]
fn pixels_are_copied_into_strided_memory_or_not_at_all(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let captured = world.get_image(Some(world.texture([102, 51, 0, 102], size(4, 2))));
    world.gpu.finish(device(0));
    let image = answer(&captured).unwrap();
    let to = PixelEncoding::IMAGE_DATA;
    let mut bytes = [7u8; 20 + 16];
    image.copy_into(&mut bytes, 20, to).unwrap();
    let row = [0, 128, 255, 102].repeat(4);
    assert_eq!((&bytes[..16], &bytes[16..20], &bytes[20..]), (&row[..], &[7; 4][..], &row[..]));
    let mut bytes = [7u8; 35];
    let short = image.copy_into(&mut bytes, 20, to);
    assert_eq!(short, Err(CopyPixelsError::TooShort { needed: 36 }));
    assert_eq!(image.copy_into(&mut bytes, 15, to), Err(CopyPixelsError::StrideTooSmall { needed: 16 }));
    assert_eq!(
        image.copy_into(&mut bytes, usize::MAX, to),
        Err(CopyPixelsError::TooShort { needed: usize::MAX })
    );
    let halves = encoding(PixelFormat::Rgba16Float, PredefinedColorSpace::Srgb, AlphaEncoding::Straight);
    assert_eq!(image.copy_into(&mut bytes, 31, halves), Err(CopyPixelsError::StrideTooSmall { needed: 32 }));
    assert_eq!(bytes, [7; 35], "nothing was written");
}

#[rstest]
fn a_cleared_image_is_cleared_in_every_encoding(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for (alpha_mode, one) in [(AlphaMode::Opaque, true), (AlphaMode::Premultiplied, false)] {
        let contents = Contents::Cleared { size: size(3, 2), alpha_mode };
        world.presenter.present(CONTEXT, contents, CanvasEpoch(1)).unwrap();
        let image = answer(&world.get_image(None)).unwrap();
        for color_space in [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3] {
            for alpha in [AlphaEncoding::Premultiplied, AlphaEncoding::Straight] {
                let bytes = image.convert(encoding(PixelFormat::Rgba8, color_space, alpha));
                assert_all(&bytes, &[0, 0, 0, if one { 255 } else { 0 }]);
                let bytes = image.convert(encoding(PixelFormat::Rgba16Float, color_space, alpha));
                assert_all(&bytes, &halves([0.0, 0.0, 0.0, if one { 1.0 } else { 0.0 }]));
            }
        }
    }
    let empty = Contents::Cleared { size: size(0, 2), alpha_mode: AlphaMode::Opaque };
    world.presenter.present(CONTEXT, empty, CanvasEpoch(1)).unwrap();
    let image = answer(&world.get_image(None)).unwrap();
    assert!(image.to_straight_rgba().is_empty());
    assert_eq!(image.copy_into(&mut [], 0, PixelEncoding::IMAGE_DATA), Ok(()));
}
