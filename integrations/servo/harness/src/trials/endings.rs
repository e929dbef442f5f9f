//! Contexts and devices that end while they are in use.

use std::time::{Duration, Instant};

use euclid::default::Size2D;
use webgpu_traits::{WebGPUMsg, WebGPURequest};
use webrender_api::ImageFormat;

use super::{Trial, still_works};
use crate::entrant::{AlphaMode, COLOR, PATIENCE};
use crate::servo::Servo;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::check(
            "check-contexts",
            "contexts destroyed while their presents and reads are in flight",
            contexts,
        ),
        Trial::check("check-devices", "devices dropped right after they were destroyed, in use", devices),
        Trial::check(
            "check-freed",
            "devices that were dropped end, and with them their driver's threads",
            freed,
        ),
        Trial::check("check-late", "presents on a device that was destroyed are acknowledged", late),
    ]
}

const LARGE: Size2D<u32> = Size2D::new(1024, 1024);

fn contexts(servo: &mut Servo) {
    for round in 0..50 {
        let canvas = servo.create(LARGE, AlphaMode::Premultiplied, ImageFormat::BGRA8);
        for _ in 0..1 + round % 3 {
            servo.present_color(canvas, servo.device, LARGE, COLOR);
        }
        let read = (round % 2 == 0).then(|| servo.request_image(canvas, None));
        servo.send_destroy_context(canvas);
        if let Some(read) = read {
            let answer = read.try_recv_timeout(PATIENCE);
            assert!(answer.is_ok(), "a read of a context that ends is answered in time");
        }
    }
    servo.connection.catch_up(servo.device);
    servo.connection.hear();
    still_works(servo);
}

fn devices(servo: &mut Servo) {
    const DEVICES: usize = 20;
    let canvas = servo.create(LARGE, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    for _ in 0..DEVICES {
        let device = servo.connection.device();
        servo.present_color(canvas, device, LARGE, COLOR);
        servo.connection.send(WebGPURequest::DestroyDevice(device.id));
        servo.connection.send(WebGPURequest::DropDevice(device.id));
    }
    let (mut freed, deadline) = (0, Instant::now() + PATIENCE);
    while freed < DEVICES {
        assert!(Instant::now() < deadline, "{freed} of {DEVICES} devices came back");
        let messages = servo.connection.messages();
        freed += messages.iter().filter(|message| matches!(message, WebGPUMsg::FreeDevice { .. })).count();
        std::thread::sleep(Duration::from_millis(5));
    }
    still_works(servo);
}

/// llvmpipe has threads for each device that exists.
fn freed(servo: &mut Servo) {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let canvas = servo.create(LARGE, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let pass = |servo: &mut Servo| {
        let device = servo.connection.device();
        let epoch = servo.present_color(canvas, device, LARGE, COLOR);
        servo.updates.wait_for(canvas, epoch);
        servo.connection.send(WebGPURequest::DropDevice(device.id));
        servo.connection.messages();
    };
    pass(servo);
    let before = threads();
    (0..20).for_each(|_| pass(servo));
    let deadline = Instant::now() + PATIENCE / 4;
    while threads() > before + 2 {
        assert!(Instant::now() < deadline, "{before} threads became {}", threads());
        std::thread::sleep(Duration::from_millis(20));
    }
    still_works(servo);
}

fn late(servo: &mut Servo) {
    let device = servo.connection.device();
    let canvas = servo.create(LARGE, AlphaMode::Premultiplied, ImageFormat::BGRA8);
    let epoch = servo.present_color(canvas, device, LARGE, COLOR);
    servo.updates.wait_for(canvas, epoch);
    servo.connection.send(WebGPURequest::DestroyDevice(device.id));
    for _ in 0..5 {
        let epoch = servo.present_color(canvas, device, LARGE, COLOR);
        servo.updates.wait_for(canvas, epoch);
    }
    servo.connection.send(WebGPURequest::DropDevice(device.id));
    servo.connection.messages();
    still_works(servo);
}
