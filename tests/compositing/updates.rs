//! Frames, clears and failures that follow each other on one canvas.

use super::stage::*;

#[test]
fn what_was_never_presented_is_transparent() {
    let Some(mut stage) = Stage::new(Swgl, (20, 20)) else { return };
    stage.place(10, 10);
    stage.assert_corner((20, 20), BLACK);
    stage.clear((10, 10), AlphaMode::Opaque);
    stage.assert_corner((10, 10), BLACK);
    stage.finish();
}

// A transparent canvas shows what is behind it, an opaque one hides it.
#[rstest]
fn cleared_canvases_show_or_hide_what_is_behind(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (40, 40)) else { return };
    let behind = Item::Rect(rect(0.0, 0.0, 40.0, 40.0), ColorF::new(0.0, 1.0, 0.0, 1.0));
    stage.page.set_scene(&[behind, Item::Image(rect(0.0, 0.0, 33.0, 21.0), stage.key)]);
    stage.assert_corner((40, 40), GREEN);
    stage.present_solid(RED, (33, 21));
    stage.assert_corner((33, 21), RED);
    stage.clear((33, 21), AlphaMode::Opaque);
    stage.assert_corner((33, 21), BLACK);
    stage.clear((33, 21), AlphaMode::Premultiplied);
    stage.assert_corner((40, 40), GREEN);
    stage.finish();
}

#[rstest]
fn updates_replace_each_other(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (64, 64)) else { return };
    stage.place(64, 64);
    for i in 1..20u8 {
        let pixel = [i * 10, 255 - i, i, 255];
        stage.present_solid(pixel, (64, 64));
        stage.assert_corner((64, 64), pixel);
    }
    stage.finish();
}

// WebRender's renderer panics when a frame is smaller than the descriptor of the queued update that it draws.
#[test]
fn resizing_with_queued_frames_does_not_panic_the_renderer() {
    let Some(mut stage) = Stage::new(Swgl, (600, 600)) else { return };
    let sizes = [(500, 400), (3, 5), (600, 600), (1, 1), (301, 151), (2, 600), (600, 2), (40, 40)];
    for round in 0..3u8 {
        for (i, size) in (1..).zip(sizes) {
            stage.place(size.0, size.1);
            stage.present_solid([i * 20, round * 50, 99, 255], size);
            // Built, and not rendered: its locks come later, with its own descriptor.
            stage.page.build();
        }
        stage.page.draw();
        stage.assert_corner((40, 40), [8 * 20, round * 50, 99, 255]);
    }
    stage.finish();
}

#[test]
fn two_frames_queued_before_one_render_show_the_newest() {
    let Some(mut stage) = Stage::new(Swgl, (32, 32)) else { return };
    stage.place(32, 32);
    for (first, second) in [(RED, GREEN), (GREEN, RED)] {
        for pixel in [first, second] {
            stage.present_solid(pixel, (32, 32));
            stage.page.build();
        }
        stage.page.draw();
        assert_eq!(stage.page.region(region(0, 0, 32, 32)), second.repeat(32 * 32));
    }
    stage.finish();
}

#[test]
fn a_failed_present_keeps_the_last_frame_on_the_page() {
    let Some(mut stage) = Stage::new(Swgl, (32, 32)) else { return };
    stage.place(32, 32);
    stage.present_solid(RED, (32, 32));
    stage.assert_corner((32, 32), RED);
    let small = stage.solid(GREEN, (8, 8));
    let configuration = ContextConfiguration { size: Size2D::new(32, 32), ..small.configuration };
    let end = stage.present_to(CONTEXT, PendingTexture { configuration, ..small });
    assert!(matches!(end, PresentEnd::Failed(PresentError::Refused(_))), "{end:?}");
    stage.assert_corner((32, 32), RED);
    // A destroyed texture presents blank.
    let destroyed = stage.solid(GREEN, (32, 32));
    stage.gpu.global.texture_destroy(destroyed.texture_id);
    let end = stage.present_to(CONTEXT, destroyed);
    assert!(matches!(end, PresentEnd::Failed(PresentError::TextureDestroyed)), "{end:?}");
    stage.assert_corner((32, 32), BLACK);
    stage.finish();
}

// WebRender on GL keeps the swizzle of the first format that an image key had.
#[rstest]
fn a_format_switch_keeps_its_colours(
    #[values(Egl, Swgl)] gl: PageGl,
    #[values((48, 32), (1, 1))] size: (u32, u32),
) {
    const BGRA: TextureFormat = TextureFormat::Bgra8Unorm;
    const RGBA: TextureFormat = TextureFormat::Rgba8Unorm;
    for formats in [[BGRA, RGBA], [RGBA, BGRA]] {
        let Some(mut stage) = Stage::new(gl, (64, 64)) else { return };
        stage.place(size.0, size.1);
        for (i, format) in formats.into_iter().cycle().take(6).enumerate() {
            let pixel = [200, 10 * i as u8, 30, 255];
            let rgba = pixel.repeat((size.0 * size.1) as usize);
            let texture = stage.texture(stage.configuration(format, size), &rgba);
            stage.present(texture);
            stage.assert_corner(size, pixel);
            if i == 3 {
                stage.clear(size, AlphaMode::Premultiplied);
                stage.assert_corner(size, BLACK);
            }
        }
        stage.finish();
    }
}
