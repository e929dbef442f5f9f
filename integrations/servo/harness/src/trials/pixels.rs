//! What is shown and read, by values that were worked out by hand.

use ::pixels::SnapshotPixelFormat;
use euclid::default::Size2D;
use webrender_api::ImageFormat;

use super::Trial;
use crate::entrant::{AlphaMode, PATIENCE};
use crate::servo::Servo;

pub fn trials() -> Vec<Trial> {
    use AlphaMode::{Opaque, Premultiplied};
    use ImageFormat::{BGRA8, RGBA8};
    vec![
        Trial::check("check-bgra", "pixels of odd sizes, bgra8, premultiplied", |servo| {
            pixels(servo, BGRA8, Premultiplied);
        }),
        Trial::check("check-bgra-opaque", "pixels of odd sizes, bgra8, opaque", |servo| {
            pixels(servo, BGRA8, Opaque);
        }),
        Trial::check("check-rgba", "pixels of odd sizes, rgba8, premultiplied", |servo| {
            pixels(servo, RGBA8, Premultiplied);
        }),
        Trial::check("check-rgba-opaque", "pixels of odd sizes, rgba8, opaque", |servo| {
            pixels(servo, RGBA8, Opaque);
        }),
        Trial::check(
            "check-switch",
            "a canvas changes its format, and its image keeps its byte order",
            switch,
        ),
        Trial::check("check-cleared", "a canvas that was not drawn is transparent", cleared),
    ]
}

/// What script writes, and what an opaque canvas shows of it.
const PIXELS: [([u8; 4], [u8; 4]); 5] = [
    ([10, 20, 30, 40], [10, 20, 30, 255]),
    ([0, 51, 102, 102], [0, 51, 102, 255]),
    ([255, 255, 255, 255], [255, 255, 255, 255]),
    ([0, 0, 0, 0], [0, 0, 0, 255]),
    ([1, 2, 3, 3], [1, 2, 3, 255]),
];

/// Widths below, at and above those at which rows of a copy need no padding.
const SIZES: [(u32, u32); 8] = [(1, 1), (3, 2), (63, 5), (64, 4), (65, 7), (127, 1), (257, 3), (300, 150)];

/// Returns the pixels of an image in which neighbors differ, as script writes them or as an opaque canvas shows them.
fn pattern(size: Size2D<u32>, alpha_mode: AlphaMode) -> Vec<u8> {
    let pixel = |x, y| {
        let (written, opaque) = PIXELS[(x + 2 * y) as usize % PIXELS.len()];
        if alpha_mode == AlphaMode::Opaque { opaque } else { written }
    };
    (0..size.height).flat_map(|y| (0..size.width).flat_map(move |x| pixel(x, y))).collect()
}

/// Returns pixels in the byte order of their canvas: as they are, or with red and blue swapped.
fn in_order(mut pixels: Vec<u8>, is_same: bool) -> Vec<u8> {
    if !is_same {
        pixels.chunks_exact_mut(4).for_each(|pixel| pixel.swap(0, 2));
    }
    pixels
}

/// Presents a pattern on a canvas. Returns the byte order of its image, and in the byte order of the canvas its pixels and those of two
/// reads: one of the texture, one of what is shown.
fn present(
    servo: &mut Servo,
    canvas: usize,
    (size, format): (Size2D<u32>, ImageFormat),
) -> (ImageFormat, [Vec<u8>; 3]) {
    let device = servo.device;
    let texture = servo.connection.create_texture(device, size, servo.format(canvas));
    let written = pattern(size, AlphaMode::Premultiplied);
    servo.connection.write_texture(device, texture, size, &written);
    let pending = servo.pending(canvas, device, texture, size);
    let of_texture = servo.request_image(canvas, Some(pending));
    let pending = servo.pending(canvas, device, texture, size);
    let epoch = servo.send_present(canvas, Some(pending), size);
    servo.send_destroy(texture);
    let update = loop {
        let update = servo.updates.next();
        if update.canvas == canvas && update.epoch == epoch {
            break update;
        }
    };
    assert_eq!(update.descriptor.size.to_untyped().cast(), size, "the size of the image");
    let shown = servo.renderer().rows(&update).expect("what was presented can be locked");
    let shown = in_order(shown, update.descriptor.format == format);
    let of_shown = servo.request_image(canvas, None);
    let [of_texture, of_shown] = [of_texture, of_shown].map(|receiver| {
        let image = receiver.try_recv_timeout(PATIENCE).ok().expect("a read is answered in time");
        assert_eq!(image.size(), size, "the size of a read");
        let is_rgba = matches!(image.format(), SnapshotPixelFormat::RGBA);
        in_order(image.data().to_vec(), is_rgba == (format == ImageFormat::RGBA8))
    });
    servo.connection.hear();
    (update.descriptor.format, [shown, of_texture, of_shown])
}

fn pixels(servo: &mut Servo, format: ImageFormat, alpha_mode: AlphaMode) {
    for (width, height) in SIZES {
        let size = Size2D::new(width, height);
        let canvas = servo.create(size, alpha_mode, format);
        // The second frame uses the memory of one before.
        for _ in 0..3 {
            let (_, [shown, of_texture, of_shown]) = present(servo, canvas, (size, format));
            let expected = pattern(size, alpha_mode);
            assert_same(&of_texture, &expected, size, "a read of the texture");
            assert_same(&of_shown, &expected, size, "a read of what is shown");
            assert_same(&shown, &expected, size, "what is shown");
        }
    }
}

fn assert_same(found: &[u8], expected: &[u8], size: Size2D<u32>, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what} of {size:?}: its bytes");
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    if let Some(place) = differs {
        let start = place - place % 4;
        let pixel = |bytes: &[u8]| format!("{:?}", &bytes[start..start + 4]);
        panic!("{what} of {size:?}: pixel {} is {} instead of {}", start / 4, pixel(found), pixel(expected));
    }
}

fn switch(servo: &mut Servo) {
    let size = Size2D::new(65, 7);
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let (first, _) = present(servo, canvas, (size, ImageFormat::BGRA8));
    servo.set_format(canvas, ImageFormat::RGBA8);
    let (second, [shown, of_texture, of_shown]) = present(servo, canvas, (size, ImageFormat::RGBA8));
    let expected = pattern(size, AlphaMode::Premultiplied);
    assert_same(&of_texture, &expected, size, "a read of the texture");
    assert_same(&of_shown, &expected, size, "a read of what is shown");
    assert_same(&shown, &expected, size, "what is shown");
    // WebRender on GL confuses red and blue when an image changes its byte order.
    assert_eq!(second, first, "the byte order of the image");
}

fn cleared(servo: &mut Servo) {
    let size = Size2D::new(30, 20);
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let epoch = servo.send_present(canvas, None, size);
    servo.updates.wait_for(canvas, epoch);
    let shown = servo.renderer().read(canvas, |bytes| bytes.first_chunk().copied()).flatten();
    assert_eq!(shown, Some([0; 4]), "what is shown");
    super::still_works(servo);
}
