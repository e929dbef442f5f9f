//! Devices that end, and canvases of several devices on one page.

use super::stage::*;

// The page must go on drawing the frames of a device that is gone, and not read memory that was freed with it.
#[test]
fn the_page_outlives_a_device() {
    let Some(mut stage) = Stage::new(Swgl, (512, 512)) else { return };
    stage.place(512, 512);
    stage.present_solid(GREEN, (512, 512));
    let device = stage.device;
    stage.presenter.borrow_mut().destroy_device(device.id);
    stage.presenter.borrow_mut().maintain();
    stage.assert_corner((512, 512), GREEN);
    stage.presenter.borrow_mut().drop_device(device.id);
    stage.gpu.global.queue_drop(device.queue);
    stage.assert_corner((512, 512), GREEN);
    stage.device = stage.gpu.device();
    stage.present_solid(RED, (512, 512));
    stage.assert_corner((512, 512), RED);
    stage.finish();
}

#[test]
fn contexts_of_two_devices_share_a_page() {
    let Some(mut stage) = Stage::new(Swgl, (64, 32)) else { return };
    let other = ContextId(4);
    let other_key = stage.create(other);
    stage.page.set_scene(&[
        Item::Image(rect(0.0, 0.0, 32.0, 32.0), stage.key),
        Item::Image(rect(32.0, 0.0, 32.0, 32.0), other_key),
    ]);
    let devices = [stage.device, stage.gpu.device()];
    for i in 1..10u8 {
        let pixels = [[i, 0, 0, 255], [0, i, 0, 255]];
        let textures = [0, 1].map(|index| {
            stage.device = devices[index];
            stage.solid(pixels[index], (32, 32))
        });
        stage.present_all(&[(CONTEXT, textures[0]), (other, textures[1])]);
        stage.end();
        stage.end();
        stage.page.render();
        for (x, pixel) in [(0, pixels[0]), (32, pixels[1])] {
            assert_eq!(stage.page.region(region(x, 0, 32, 32)), pixel.repeat(1024));
        }
    }
    stage.finish();
}
