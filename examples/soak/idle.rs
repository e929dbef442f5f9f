//! Memory that comes back when nothing calls the presenter: of snapshots that are dropped, of large canvases that are drawn no
//! more, and of presents that are refused.
//!
//! Each time the bytes that the driver gave must be what they were, within two seconds.

use std::time::{Duration, Instant};

use euclid::default::Size2D;
use vulkan_test_layer::Layer;
use webgpu_presentation::{ContextConfiguration, PendingTexture, PresentEnd};

use crate::idle_usage;
use crate::support::crowd::Crowd;
use crate::support::gpu::Gpu;
use crate::usage::Usage;

/// Time within which memory comes back.
const WITHIN: Duration = Duration::from_secs(2);

/// Side of the canvases, in pixels.
const SIDE: u32 = 2048;

/// Bytes of a frame of a canvas.
const FRAME: u64 = SIDE as u64 * SIDE as u64 * 4;

/// Side of the error textures, in pixels.
const LARGEST: u32 = 16384;

/// Bytes of a frame of an error texture: 1 GiB.
const LARGEST_FRAME: u64 = LARGEST as u64 * LARGEST as u64 * 4;

/// Error textures that are presented.
const REFUSED: usize = 10;

/// Lets memory rest in several ways, and returns what was wrong.
pub fn run(gpu: Gpu, layer: &Layer) -> (Gpu, Vec<String>) {
    let mut crowd = Crowd::new(gpu, 3, Size2D::new(SIDE, SIDE));
    // The third canvas shows nothing.
    let rest = layer.bytes() + 2 * FRAME;
    let mut faults = vec![];
    let mut returns = |what: &str, most: u64| {
        let start = Instant::now();
        while layer.bytes() > most && start.elapsed() < WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
        let bytes = layer.bytes();
        println!("idle      {what}: {:.1} s", start.elapsed().as_secs_f64());
        if bytes > most {
            faults.push(format!("{what}: {bytes} bytes of the driver after {WITHIN:?}, {most} at most"));
        }
    };

    for round in 0..3 {
        crowd.show(0..2, round);
    }
    assert!(layer.bytes() > rest, "canvases hold memory for their next frames");
    returns("canvases that are drawn no more", rest);
    crowd.assert_shown(0..2, 2);

    let snapshots = crowd.snapshots(0..2, None);
    crowd.show(0..2, 3);
    // Until a renderer draws the new frame it keeps the one that it drew before.
    crowd.assert_shown(0..2, 3);
    assert!(layer.bytes() > rest, "snapshots hold memory");
    returns("canvases of which there are snapshots", rest + 2 * FRAME);
    drop(snapshots);
    returns("snapshots that were dropped", rest);

    layer.forget_most();
    for _ in 0..REFUSED {
        let texture_id = crowd.gpu.invalid_texture(crowd.device);
        let size = Size2D::new(LARGEST, LARGEST);
        let configuration = ContextConfiguration { size, ..crowd.device.configuration(size) };
        let outcome = crowd.present_one(2, PendingTexture { texture_id, encoder_ids: None, configuration });
        assert!(matches!(outcome.end, PresentEnd::Failed(_)), "{outcome:?}");
        crowd.gpu.drop_texture(texture_id);
    }
    returns("error textures that were refused", rest);
    let most = layer.most_bytes() - rest;
    if most > LARGEST_FRAME {
        faults.push(format!("{REFUSED} error textures took {most} bytes at a time"));
    }
    crowd.assert_device_works();

    let (gpu, device) = crowd.close();
    gpu.global.device_drop(device.id);
    gpu.global.queue_drop(device.queue);
    let Usage { hub, objects, bytes, .. } = idle_usage(&gpu, layer, 1);
    if (hub, objects, bytes) != (0, 0, 0) {
        faults.push(format!("{hub} entries in the hub and {objects} objects of {bytes} bytes are left"));
    }
    (gpu, faults)
}
