//! All that a page may do, at once: canvases that come, change their size and go, on devices that do, read by script and by a renderer.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_traits::WebGPURequest;
use webrender_api::ImageFormat;
use wgpu_types::Color;

use super::{Trial, still_works};
use crate::entrant::{AlphaMode, PATIENCE};
use crate::servo::{Renderer, Servo};

pub fn trials() -> Vec<Trial> {
    vec![Trial::measure("everything", "everything at once for 25 s", "frames/s", everything)]
}

const TIME: Duration = Duration::from_secs(25);
const CANVASES: usize = 8;

/// Numbers that look random, and are the same in each run.
struct Chance(u32);

impl Chance {
    /// Returns a number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % end
    }

    fn size(&mut self) -> Size2D<u32> {
        Size2D::new(1 + self.below(700), 1 + self.below(500))
    }
}

/// Returns the frames that were shown in a second.
fn everything(servo: &mut Servo) -> f64 {
    let (renderers, received) = channel();
    let renderer = std::thread::Builder::new()
        .name("renderer".into())
        .spawn(move || render(&received))
        .expect("a thread can be started");
    let start = Instant::now();
    let frames = script(servo, &renderers, start + TIME);
    let time = start.elapsed();
    drop(renderers);
    assert!(renderer.join().is_ok(), "the renderer panicked");
    still_works(servo);
    f64::from(frames) / time.as_secs_f64()
}

fn script(servo: &mut Servo, renderers: &Sender<(Renderer, Vec<usize>)>, end: Instant) -> u32 {
    let mut chance = Chance(1);
    let steady = servo.device;
    let mut passing = servo.connection.device();
    let create = |servo: &mut Servo, chance: &mut Chance| {
        let alpha_mode = if chance.below(2) == 0 { AlphaMode::Opaque } else { AlphaMode::Premultiplied };
        let format = if chance.below(2) == 0 { ImageFormat::BGRA8 } else { ImageFormat::RGBA8 };
        let size = chance.size();
        (servo.create(size, alpha_mode, format), size)
    };
    let mut canvases: Vec<_> = (0..CANVASES).map(|_| create(servo, &mut chance)).collect();
    let (mut frames, mut answers) = (0, Vec::new());
    while Instant::now() < end {
        let mut epochs = Vec::new();
        for (canvas, size) in &mut canvases {
            match chance.below(16) {
                0 => *size = chance.size(),
                1 => answers.push(servo.request_image(*canvas, None)),
                2 => {
                    let textures = [(*size, servo.format(*canvas))];
                    let texture = servo.connection.submit_drawing(steady, &textures, Color::WHITE)[0];
                    let pending = servo.pending(*canvas, steady, texture, *size);
                    answers.push(servo.request_image(*canvas, Some(pending)));
                    servo.send_destroy(texture);
                }
                3 => {
                    servo.send_present(*canvas, None, *size);
                }
                _ => (),
            }
            let device = if chance.below(4) == 0 { passing } else { steady };
            let color = Color { r: f64::from(chance.below(256)) / 255.0, ..Color::BLUE };
            epochs.push((*canvas, servo.present_color(*canvas, device, *size, color)));
        }
        if chance.below(8) == 0 {
            // One canvas goes, with what is in flight for it.
            let index = chance.below(CANVASES as u32) as usize;
            servo.send_destroy_context(canvases[index].0);
            epochs.swap_remove(index);
            canvases[index] = create(servo, &mut chance);
        }
        if chance.below(16) == 0 {
            servo.connection.send(WebGPURequest::DestroyDevice(passing.id));
            servo.connection.send(WebGPURequest::DropDevice(passing.id));
            passing = servo.connection.device();
        }
        if chance.below(4) != 0 {
            for (canvas, epoch) in epochs {
                servo.updates.wait_for(canvas, epoch);
            }
        }
        frames += CANVASES as u32;
        servo.connection.messages();
        if answers.len() > 40 {
            for answer in answers.drain(..) {
                let answer = answer.try_recv_timeout(PATIENCE);
                assert!(answer.is_ok(), "a read is answered in time");
            }
        }
        let living = canvases.iter().map(|(canvas, _)| *canvas).collect();
        // The renderer's end is told when it is joined.
        let _ = renderers.send((servo.renderer(), living));
    }
    frames
}

/// Locks all canvases in turn and reads all their bytes, until the channel is closed.
fn render(renderers: &Receiver<(Renderer, Vec<usize>)>) {
    let mut sum = 0_u64;
    while let Ok(mut scene) = renderers.recv() {
        // Only the newest scene is rendered.
        while let Ok(newer) = renderers.try_recv() {
            scene = newer;
        }
        let (mut renderer, canvases) = scene;
        for canvas in canvases {
            let bytes = renderer.read(canvas, |bytes| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            sum = sum.wrapping_add(bytes.unwrap_or(0));
        }
    }
    std::hint::black_box(sum);
}
