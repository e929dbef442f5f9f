//! What script gets back: every id, once, when it may be used again.

use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_traits::{PRESENTATION_BUFFER_COUNT, WebGPUMsg};
use webrender_api::ImageFormat;

use super::Trial;
use crate::entrant::{AlphaMode, COLOR, PATIENCE};
use crate::servo::Servo;

pub fn trials() -> Vec<Trial> {
    vec![Trial::check("check-ids", "all ids of 50 frames and their canvas come back, once", ids)]
}

const FRAMES: usize = 50;

/// What came back.
#[derive(Debug, Default, PartialEq, Eq)]
struct Returned {
    textures: usize,
    views: usize,
    encoders: usize,
    command_buffers: usize,
    buffers: usize,
}

impl Returned {
    fn count(&mut self, messages: &[WebGPUMsg]) {
        for message in messages {
            match message {
                WebGPUMsg::FreeTexture(_) => self.textures += 1,
                WebGPUMsg::FreeTextureView(_) => self.views += 1,
                WebGPUMsg::FreeCommandEncoder(_) => self.encoders += 1,
                WebGPUMsg::FreeCommandBuffer(_) => self.command_buffers += 1,
                WebGPUMsg::FreeBuffer(_) => self.buffers += 1,
                _ => (),
            }
        }
    }
}

fn ids(servo: &mut Servo) {
    let size = Size2D::new(256, 256);
    let canvas = servo.create(size, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let mut returned = Returned::default();
    for _ in 0..FRAMES {
        let epoch = servo.present_color(canvas, servo.device, size, COLOR);
        servo.updates.wait_for(canvas, epoch);
        // Ids are used again as soon as they come back.
        returned.count(&servo.connection.messages());
    }
    servo.send_destroy_context(canvas);
    let expected = Returned {
        textures: FRAMES,
        views: FRAMES,
        // A frame has one for drawing and one for its copy.
        encoders: 2 * FRAMES,
        command_buffers: 2 * FRAMES,
        buffers: PRESENTATION_BUFFER_COUNT,
    };
    let deadline = Instant::now() + PATIENCE / 4;
    while returned != expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        returned.count(&servo.connection.messages());
    }
    // What comes twice comes late.
    std::thread::sleep(Duration::from_millis(100));
    returned.count(&servo.connection.messages());
    assert_eq!(returned, expected);
}
