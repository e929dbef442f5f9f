//! The first render after a present has ended shows it, whatever was hidden, resized or reformatted before. What is drawn on a lost
//! device, or into a context that is gone, is blank.

use super::stage::*;

const WHITE: [u8; 4] = [255; 4];

/// A color that differs from that of the 250 presents before and after it.
fn color(i: u32) -> [u8; 4] {
    [(i % 251) as u8, (i / 251) as u8, 99, 255]
}

impl Stage {
    /// A white page, so that a transparent canvas differs from a black one, with the canvas in its corner.
    fn place_on_white(&mut self, size: (u32, u32)) {
        let items = [white(), Item::Image(rect(0.0, 0.0, size.0 as f32, size.1 as f32), self.key)];
        self.page.set_scene(&items);
    }

    /// Presents a texture that was created after its device was destroyed, as a page does that has not noticed the loss.
    fn present_on_lost_device(&mut self, size: (u32, u32), alpha_mode: AlphaMode) -> PresentEnd {
        let texture_id = self.gpu.invalid_texture(self.device);
        let configuration = self.configuration(TextureFormat::Bgra8Unorm, size);
        let configuration = ContextConfiguration { alpha_mode, ..configuration };
        self.present_to(CONTEXT, PendingTexture { texture_id, encoder_ids: None, configuration })
    }
}

fn white() -> Item {
    Item::Rect(rect(0.0, 0.0, 600.0, 600.0), ColorF::WHITE)
}

#[rstest]
fn a_canvas_that_was_hidden_shows_its_newest_frame_at_once(
    #[values(Swgl, Egl)] gl: PageGl,
    #[values(300, 1000)] presents: u32,
) {
    let Some(mut stage) = Stage::new(gl, (32, 32)) else { return };
    stage.place(16, 16);
    stage.present_solid(RED, (16, 16));
    stage.assert_corner((16, 16), RED);
    stage.page.set_scene(&[]);
    stage.assert_corner((16, 16), BLACK);
    for i in 0..presents {
        stage.present_solid(color(i), (16, 16));
        if i % 50 == 0 {
            // The page goes on without the canvas.
            let moving = rect(16.0 + (i / 50 % 16) as f32, 16.0, 1.0, 1.0);
            stage.page.set_scene(&[Item::Rect(moving, ColorF::WHITE)]);
            stage.assert_corner((16, 16), BLACK);
        }
    }
    stage.place(16, 16);
    stage.assert_corner((16, 16), color(presents - 1));
    stage.finish();
}

#[rstest]
fn a_canvas_that_was_resized_and_reformatted_while_hidden_shows_its_newest_frame_at_once(
    #[values(Swgl, Egl)] gl: PageGl,
) {
    let Some(mut stage) = Stage::new(gl, (32, 32)) else { return };
    stage.place(16, 16);
    stage.present_solid(RED, (16, 16));
    stage.assert_corner((16, 16), RED);
    stage.page.set_scene(&[]);
    stage.page.render();
    // Each count ends with another combination.
    for presents in [299, 300, 301, 302] {
        for i in 0..presents {
            let format = [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm][i as usize % 2];
            let alpha_mode = [AlphaMode::Premultiplied, AlphaMode::Opaque][i as usize / 2 % 2];
            let size = (1 + i % 16, 1 + i % 7);
            let configuration = ContextConfiguration { alpha_mode, ..stage.configuration(format, size) };
            let texture = stage.texture(configuration, &color(i).repeat((size.0 * size.1) as usize));
            stage.present(texture);
        }
        stage.place(16, 16);
        stage.assert_corner((16, 16), color(presents - 1));
        stage.page.set_scene(&[]);
        stage.assert_corner((16, 16), BLACK);
    }
    stage.finish();
}

// A page may be built and never rendered, for example because its tab is hidden.
#[rstest]
fn hundreds_of_frames_without_a_render_end_with_the_newest(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (16, 16)) else { return };
    stage.place(16, 16);
    for i in 0..300 {
        stage.present_solid(color(i), (16, 16));
    }
    stage.assert_corner((16, 16), color(299));
    stage.finish();
}

#[rstest]
fn a_canvas_that_was_never_shown_shows_its_newest_frame_under_a_new_key(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (16, 16)) else { return };
    for i in 0..400 {
        stage.present_solid(color(i), (16, 16));
    }
    stage.key = stage.page.new_key();
    stage.presenter.borrow_mut().set_image_key(CONTEXT, stage.key).unwrap();
    // The answer comes after the image calls that were made before, so WebRender knows the key when the page uses it.
    let image = stage.read_image(CONTEXT, None);
    assert_eq!(image.to_straight_rgba().unwrap(), color(399).repeat(256));
    stage.place(16, 16);
    stage.assert_corner((16, 16), color(399));
    stage.finish();
}

#[rstest]
fn sizes_that_change_without_a_render_leave_the_newest(
    #[values(Swgl, Egl)] gl: PageGl,
    #[values(false, true)] builds_each: bool,
) {
    let Some(mut stage) = Stage::new(gl, (8, 8)) else { return };
    stage.place(8, 8);
    for side in 3..=8u8 {
        stage.present_solid([side * 10, 0, 0, 255], (side.into(), side.into()));
        if builds_each {
            stage.page.build();
        }
    }
    let updates = stage.updates.count();
    for _ in 0..2 {
        stage.assert_corner((8, 8), [80, 0, 0, 255]);
    }
    assert_eq!(stage.updates.count(), updates, "renders cause no updates");
    stage.finish();
}

// The user drags an edge of the window: the canvas has more sizes, one after the other, than there are generations of images.
#[rstest]
fn a_drag_shows_the_newer_of_two_sizes_in_each_render(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (300, 8)) else { return };
    for i in 0..150 {
        for step in [2 * i, 2 * i + 1] {
            let size = (300 - step, 1 + step % 8);
            stage.place(size.0, size.1);
            stage.present_solid(color(step), size);
        }
        let step = 2 * i + 1;
        stage.assert_corner((300 - step, 1 + step % 8), color(step));
    }
    stage.finish();
}

#[rstest]
#[case::opaque(AlphaMode::Opaque, BLACK, BLACK)]
#[case::premultiplied(AlphaMode::Premultiplied, WHITE, [0; 4])]
fn what_is_drawn_on_a_destroyed_device_is_blank(
    #[values(Swgl, Egl)] gl: PageGl,
    #[values(false, true)] presented_before: bool,
    #[case] alpha_mode: AlphaMode,
    #[case] shown: [u8; 4],
    #[case] read: [u8; 4],
) {
    let Some(mut stage) = Stage::new(gl, (40, 40)) else { return };
    if presented_before {
        stage.place_on_white((20, 20));
        stage.present_solid(GREEN, (20, 20));
        stage.assert_corner((20, 20), GREEN);
    }
    stage.presenter.borrow_mut().destroy_device(stage.device.id);
    if presented_before {
        stage.assert_corner((20, 20), GREEN);
    }
    stage.place_on_white((30, 20));
    let end = stage.present_on_lost_device((30, 20), alpha_mode);
    assert!(matches!(end, PresentEnd::Failed(PresentError::DeviceLost)), "{end:?}");
    stage.assert_corner((30, 20), shown);
    assert_eq!(stage.page.region(region(30, 0, 1, 1)), WHITE, "beside the canvas");
    let image = stage.read_image(CONTEXT, None);
    assert_eq!((image.size(), image.alpha_mode()), (Size2D::new(30, 20), alpha_mode));
    assert_eq!(image.to_vec().unwrap(), read.repeat(600));
    stage.finish();
}

// WebRender paints an image that cannot be locked in opaque white.
#[rstest]
fn a_context_that_ended_while_built_frames_wait_is_blank(
    #[values(Swgl, Egl)] gl: PageGl,
    #[values(&[(32, 32)], &[(32, 32), (9, 7), (64, 64), (40, 3)])] sizes: &[(u32, u32)],
) {
    let Some(mut stage) = Stage::new(gl, (64, 64)) else { return };
    let image = Item::Image(rect(0.0, 0.0, 64.0, 64.0), stage.key);
    let behind = Item::Rect(rect(0.0, 0.0, 64.0, 64.0), ColorF::new(0.0, 1.0, 0.0, 1.0));
    stage.page.set_scene(&[behind, image]);
    for &size in sizes {
        stage.present_solid(RED, size);
        stage.page.build();
    }
    stage.presenter.borrow_mut().destroy_context(CONTEXT).unwrap();
    stage.page.draw();
    assert_eq!(stage.page.region(region(0, 0, 64, 64)), GREEN.repeat(64 * 64));
    stage.finish();
}
