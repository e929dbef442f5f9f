//! Crowds of small canvases that grow and shrink, and snapshots of them, on a driver that allows few memory objects.
//!
//! A frame has room in owned memory or is portable, but the driver never has to refuse an object, and the device works. When a
//! crowd is gone nothing is left of it: after the third one there is no more than after the second, which came when everything was warm.
//! Memory of the process is not judged, which wanders after so few.

use euclid::default::Size2D;
use vulkan_test_layer::Layer;

use crate::support::crowd::{Crowd, color, color_of};
use crate::support::gpu::Gpu;
use crate::{growth, idle_usage};

/// Memory objects that a device may have. A quarter of them, of 4 MiB, are soon full of canvases.
const OBJECTS: u32 = 64;

const CANVASES: u64 = 1200;

/// Sides of the canvases, one after the other, in pixels.
const SIDES: [u32; 4] = [64, 128, 80, 64];

/// Crowds, of which the first warms up.
const CROWDS: usize = 3;

/// Runs the crowds, and returns what was wrong.
pub fn run(mut gpu: Gpu, layer: &Layer, bare: (usize, usize)) -> (Gpu, Vec<String>) {
    layer.reset();
    layer.set_limit(OBJECTS);
    let mut usages = vec![];
    for crowd in 0..CROWDS {
        gpu = run_one(gpu, layer, crowd as u64);
        usages.push(idle_usage(&gpu, layer, crowd));
    }
    let (first, last) = (usages[1], usages[CROWDS - 1]);
    println!("crowds    {} objects of a device at most; {last}", layer.most_objects_of_a_device());
    let mut faults = growth(&first, &last, bare);
    if layer.refused() > 0 {
        faults.push(format!("the driver refused {} objects", layer.refused()));
    }
    layer.reset();
    (gpu, faults)
}

fn run_one(gpu: Gpu, layer: &Layer, seed: u64) -> Gpu {
    let mut crowd = Crowd::new(gpu, CANVASES, Size2D::new(SIDES[0], SIDES[0]));
    let mut kept = vec![];
    for (round, side) in (seed..).zip(SIDES) {
        crowd.resize(Size2D::new(side, side));
        crowd.show(0..CANVASES, round);
        // Some share the frame that is shown, others have a copy of their own.
        for texture in [None, Some(round)] {
            let canvases = (0..CANVASES).step_by(3);
            let snapshots = crowd.snapshots(canvases.clone(), texture);
            kept.extend(canvases.zip(snapshots).map(|(canvas, snapshot)| (canvas, round, snapshot)));
        }
        // Every other snapshot is dropped at once, and all of a round in the next but one.
        kept.retain(|(canvas, of, _)| *of + 1 >= round && canvas % 2 == 0);
        crowd.assert_shown(0..CANVASES, round);
        for (canvas, round, snapshot) in &kept {
            assert_eq!(color_of(snapshot), color(*canvas, *round), "a snapshot of canvas {canvas}");
        }
    }
    crowd.assert_device_works();
    assert!(layer.objects() > 0);
    let (gpu, device) = crowd.close();
    gpu.global.device_drop(device.id);
    gpu.global.queue_drop(device.queue);
    gpu
}
