//! Canvases of half floats and of Display P3: what is shown is 8 bits of sRGB, what is read is what was drawn.

use half::f16;
use wgpu_types::TextureFormat;

use super::world::*;
use crate::AlphaEncoding::{self, Premultiplied, Straight};
use crate::PixelFormat::{self, Bgra8, Rgba8, Rgba16Float};
use crate::PredefinedColorSpace::{self, DisplayP3, Srgb};
use crate::gpu::fake;
use crate::{
    AlphaMode, ContextConfiguration, CopyPixelsError, PendingTexture, PixelEncoding, PresentEnd,
    PresentError, Snapshot,
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
}

fn encoding(format: PixelFormat, color_space: PredefinedColorSpace, alpha: AlphaEncoding) -> PixelEncoding {
    PixelEncoding { format, color_space, alpha }
}

fn rows(image: &Snapshot) -> Vec<Vec<u8>> {
    let mut rows = image.rows().unwrap();
    std::iter::from_fn(|| rows.next_row().map(<[u8]>::to_vec)).collect()
}

fn assert_all(bytes: &[u8], pixel: &[u8]) {
    assert_eq!(bytes, pixel.repeat(bytes.len() / pixel.len()));
    assert!(!bytes.is_empty());
}

#[rstest]
fn half_floats_are_shown_as_bytes_and_read_as_they_are(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let pixel = [0.4, 2.0, -1.0, 0.5];
    let texture = world.half_floats(pixel, AlphaMode::Premultiplied, Srgb);
    let sequence = world.present_texture(texture, 1).unwrap();
    // One read is asked for before the frame is there, one afterwards.
    let before = world.get_image(None);
    world.finish(sequence);
    assert_eq!(world.shown(), [0, 255, 102, 128], "BGRA");
    for image in [answer(&before).unwrap(), world.read_image()] {
        assert_eq!((image.format(), image.color_space()), (Rgba16Float, Srgb));
        assert_all(&image.to_vec().unwrap(), &halves(pixel));
        assert_eq!(rows(&image), vec![halves(pixel).repeat(4); 2]);
        assert_all(&image.to_straight_rgba().unwrap(), &[204, 255, 0, 128]);
    }
}

#[rstest]
fn opaque_half_floats_have_alpha_1(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.half_floats([0.4, 0.0, 1.0, 0.25], AlphaMode::Opaque, Srgb);
    assert_all(&world.capture(texture).to_vec().unwrap(), &halves([0.4, 0.0, 1.0, 1.0]));
    world.show_texture(texture, 1);
    assert_eq!(world.shown(), [255, 0, 102, 255]);
}

// Whether a texture that is read alone is really opaque is not known before it is copied or converted.
#[rstest]
fn a_captured_opaque_texture_has_alpha_255_in_whatever_way_it_is_read(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    for alpha in [102, 255] {
        let mut world = World::new(memory);
        let mut texture = world.texture([102, 51, 0, alpha], size(4, 3));
        texture.configuration.alpha_mode = AlphaMode::Opaque;
        let image = world.capture(texture);
        let opaque = [102, 51, 0, 255];
        assert_all(&image.to_vec().unwrap(), &opaque);
        assert_all(&image.to_straight_rgba().unwrap(), &[0, 51, 102, 255]);
        assert_eq!(rows(&image), vec![opaque.repeat(4); 3]);
        let (mut once, mut again) = (image.rows().unwrap(), image.rows().unwrap());
        let is_copied = once.next_row().unwrap().as_ptr() != again.next_row().unwrap().as_ptr();
        assert_eq!(is_copied, alpha != 255, "only rows that are not opaque as they are");
        let mut strided = [7; 20 + 20 + 16];
        image.copy_into(&mut strided, 20, encoding(Bgra8, Srgb, Straight)).unwrap();
        assert_eq!(strided, [&opaque.repeat(4)[..], &[7; 4]].concat().repeat(3)[..56]);
        let half = |byte: u8| f32::from(byte) / 255.0;
        let halved = image.convert(encoding(Rgba16Float, Srgb, Straight)).unwrap();
        assert_all(&halved, &halves([half(0), half(51), half(102), 1.0]));
    }
}

#[rstest]
fn p3_is_shown_as_srgb_and_read_as_it_is(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let half_float = world.half_floats(P3_RED, AlphaMode::Opaque, DisplayP3);
    world.show_texture(half_float, 1);
    assert_eq!(world.shown(), [0, 0, 255, 255]);
    let image = world.read_image();
    assert_eq!(image.color_space(), DisplayP3);
    assert_all(&image.to_vec().unwrap(), &halves(P3_RED));

    // 8 bits, premultiplied. The straight red is 111.49 of 102, and must not be clamped before alpha.
    let mut texture = world.texture([0, 0, 102, 102], size(4, 2));
    texture.configuration.color_space = DisplayP3;
    world.show_texture(texture, 2);
    assert_eq!(world.shown(), [0, 0, 111, 102]);
    let image = world.read_image();
    assert_all(&image.to_vec().unwrap(), &[0, 0, 102, 102]);
    let p3 = encoding(Rgba8, DisplayP3, Straight);
    assert_all(&image.convert(p3).unwrap(), &[255, 0, 0, 102]);
}

// WebRender on GL keeps the swizzle of the first format that an image key had: another byte order would swap red and blue.
#[rstest]
fn converted_frames_keep_the_byte_order_of_their_key(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut rgba = world.texture([1, 2, 3, 255], size(4, 2));
    rgba.configuration.format = TextureFormat::Rgba8Unorm;
    world.show_texture(rgba, 1);
    let first = world.last_offer().0.format;
    world.show_texture(world.half_floats(P3_RED, AlphaMode::Premultiplied, Srgb), 2);
    assert_eq!(world.shown(), [255, 0, 0, 255]);
    assert_eq!(world.last_offer().0.format, first);
}

// An animation of half floats must not allocate memory for each frame.
#[rstest]
fn converted_frames_use_the_memory_of_earlier_ones(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for epoch in 1..20 {
        world.show_texture(world.half_floats(P3_RED, AlphaMode::Premultiplied, DisplayP3), epoch);
        assert_eq!(world.shown(), [0, 0, 255, 255]);
        let held: usize = world.presenter.memory_report().iter().map(|report| report.bytes).sum();
        // Four staging buffers of 4096 bytes, and four frames that were made of them.
        assert!(held <= 4 * 4096 + 4 * 512, "frame {epoch} holds {held} bytes");
    }
    let image = world.read_image();
    assert_all(&image.to_vec().unwrap(), &halves(P3_RED));
}

#[rstest]
fn snapshots_outlive_what_replaced_them(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let images: Vec<Snapshot> = (0..5u64)
        .map(|i| {
            let pixel = [i as f32, 0.0, 0.0, 1.0];
            world.show_texture(world.half_floats(pixel, AlphaMode::Premultiplied, Srgb), i);
            world.read_image()
        })
        .collect();
    world.presenter.destroy_context(CONTEXT).unwrap();
    for (i, image) in (0..5u64).zip(images) {
        assert_all(&image.to_vec().unwrap(), &halves([i as f32, 0.0, 0.0, 1.0]));
    }
}

#[rstest]
fn half_floats_of_no_size_and_of_impossible_sizes(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let texture = world.half_floats(P3_RED, AlphaMode::Opaque, DisplayP3);
    for empty in [size(0, 0), size(0, 9), size(9, 0)] {
        let configuration = ContextConfiguration { size: empty, ..texture.configuration };
        let texture = PendingTexture { configuration, ..texture };
        let image = answer(&world.get_image(Some(texture))).unwrap();
        assert_eq!((image.size(), image.to_vec().unwrap().len()), (empty, 0));
        world.present_texture(texture, 1).unwrap();
        assert_eq!(world.shown(), [0, 0, 0, 255]);
        assert_eq!(world.read_image().size(), empty);
    }
    for large in [size(16384, 16384), size(u32::MAX / 8 + 1, 1), size(1, u32::MAX)] {
        let configuration = ContextConfiguration { size: large, ..texture.configuration };
        let sequence = world.present_texture(PendingTexture { configuration, ..texture }, 2).unwrap();
        let end = world.end_of(sequence);
        assert!(matches!(end, PresentEnd::Failed(PresentError::TooLarge(_))), "{large:?}: {end:?}");
    }
}

#[rstest]
fn pixels_are_copied_into_strided_memory_or_not_at_all(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let image = world.capture(world.texture([102, 51, 0, 102], size(4, 2)));
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
    let halves = encoding(Rgba16Float, Srgb, Straight);
    assert_eq!(image.copy_into(&mut bytes, 31, halves), Err(CopyPixelsError::StrideTooSmall { needed: 32 }));
    assert_eq!(bytes, [7; 35], "nothing was written");
}

#[rstest]
fn a_cleared_image_is_cleared_in_every_encoding(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    for (alpha_mode, one) in [(AlphaMode::Opaque, true), (AlphaMode::Premultiplied, false)] {
        world.present_blank(size(3, 2), alpha_mode, 1);
        let image = world.read_image();
        for color_space in [Srgb, DisplayP3] {
            for alpha in [Premultiplied, Straight] {
                let bytes = image.convert(encoding(Rgba8, color_space, alpha)).unwrap();
                assert_all(&bytes, &[0, 0, 0, if one { 255 } else { 0 }]);
                let bytes = image.convert(encoding(Rgba16Float, color_space, alpha)).unwrap();
                assert_all(&bytes, &halves([0.0, 0.0, 0.0, if one { 1.0 } else { 0.0 }]));
            }
        }
    }
    world.present_blank(size(0, 2), AlphaMode::Opaque, 1);
    let image = world.read_image();
    assert!(image.to_straight_rgba().unwrap().is_empty());
    assert_eq!(image.copy_into(&mut [], 0, PixelEncoding::IMAGE_DATA), Ok(()));
}
