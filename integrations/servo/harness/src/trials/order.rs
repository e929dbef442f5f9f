//! Frames that come faster than they can be copied, and reads that are not awaited.

use std::time::Instant;

use euclid::default::Size2D;
use webrender_api::ImageFormat;
use wgpu_types::Color;

use super::{Trial, still_works};
use crate::entrant::{AlphaMode, PATIENCE};
use crate::servo::Servo;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::check(
            "check-order",
            "200 presents without waiting: none goes back, the last is shown",
            |servo| {
                presents(servo, Size2D::new(256, 256), FRAMES);
            },
        ),
        Trial::check(
            "check-reads",
            "60 reads of textures that are not awaited return their own frames",
            |servo| {
                reads(servo, Size2D::new(64, 64), 60);
            },
        ),
        Trial::check("check-read-shown", "a read after a present returns what was presented", read_shown),
        Trial::measure("overload-presents", "200 presents of 1920×1080 without waiting", "ms", |servo| {
            presents(servo, FULL_HD, FRAMES)
        }),
        Trial::measure("overload-reads", "60 reads of 1920×1080 that are not awaited", "ms", |servo| {
            reads(servo, FULL_HD, 60)
        }),
    ]
}

const FULL_HD: Size2D<u32> = Size2D::new(1920, 1080);
/// So many that each frame has a color of its own.
const FRAMES: u8 = 200;

/// Returns the color whose blue is `number`.
fn color(number: u8) -> Color {
    Color { r: 0.0, g: 0.0, b: f64::from(number) / 255.0, a: 1.0 }
}

/// Returns the number of a pixel's color.
fn number(pixel: Option<[u8; 4]>) -> Option<u8> {
    pixel.map(|[blue, green, red, alpha]| {
        assert_eq!([green, red, alpha], [0, 0, 255], "the other channels");
        blue
    })
}

/// Presents frames without waiting, while a renderer reads what each image update announces. Returns the milliseconds until the last
/// is announced.
fn presents(servo: &mut Servo, size: Size2D<u32>, frames: u8) -> f64 {
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let mut renderer = servo.renderer();
    let (mut newest, mut epoch) = (0, 0);
    let mut look = |update: crate::entrant::Update| {
        let shown = renderer.read_update(canvas, update.channel_index, |bytes| bytes.first_chunk().copied());
        let shown = number(shown.flatten()).expect("what was announced can be locked");
        assert!(shown >= newest, "frame {shown} is shown after frame {newest}");
        newest = shown;
        update.epoch
    };
    let start = Instant::now();
    for frame in 1..=frames {
        epoch = servo.present_color(canvas, servo.device, size, color(frame));
        servo.connection.hear();
        while let Some(update) = servo.updates.take() {
            look(update);
        }
    }
    while look(servo.updates.next()) < epoch {}
    let time = start.elapsed();
    let shown = servo.renderer().read(canvas, |bytes| bytes.first_chunk().copied()).flatten();
    assert_eq!(number(shown), Some(frames), "the last frame is shown in the end");
    still_works(servo);
    time.as_secs_f64() * 1e3
}

/// Reads textures, which are destroyed at once, without waiting. Returns the milliseconds until the last is answered.
fn reads(servo: &mut Servo, size: Size2D<u32>, count: u8) -> f64 {
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let start = Instant::now();
    let answers: Vec<_> = (1..=count)
        .map(|frame| {
            let textures = [(size, servo.format(canvas))];
            let texture = servo.connection.submit_drawing(servo.device, &textures, color(frame))[0];
            let pending = servo.pending(canvas, servo.device, texture, size);
            let answer = servo.request_image(canvas, Some(pending));
            servo.send_destroy(texture);
            answer
        })
        .collect();
    for (frame, answer) in (1..).zip(answers) {
        let image = answer.try_recv_timeout(PATIENCE).ok().expect("a read is answered in time");
        let first = image.data().first_chunk().copied();
        assert_eq!(first, Some([frame, 0, 0, 255]), "read {frame}");
        assert_eq!(image.data().last_chunk().copied(), Some([frame, 0, 0, 255]), "the end of read {frame}");
    }
    let time = start.elapsed();
    servo.connection.hear();
    still_works(servo);
    time.as_secs_f64() * 1e3
}

fn read_shown(servo: &mut Servo) {
    let size = Size2D::new(512, 512);
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let answers: Vec<_> = (1..=40)
        .map(|frame| {
            servo.present_color(canvas, servo.device, size, color(frame));
            servo.request_image(canvas, None)
        })
        .collect();
    for (frame, answer) in (1..).zip(answers) {
        let image = answer.try_recv_timeout(PATIENCE).ok().expect("a read is answered in time");
        let first = image.data().first_chunk().copied();
        assert_eq!(first, Some([frame, 0, 0, 255]), "the read after present {frame}");
    }
}
