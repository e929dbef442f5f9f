//! The newest frame is shown, and each read gets its frame: while a page never awaits, while a canvas changes its size, and when the
//! device goes. What is drawn on a device that is gone is blank.

use super::world::*;

const BLACK: [u8; 4] = [0, 0, 0, 255];

fn value(i: u32) -> [u8; 4] {
    [i as u8, (i >> 8) as u8, 77, 255]
}

impl World {
    /// Presents a texture that was created after its device was destroyed, as a page does that has not noticed the loss.
    fn present_on_lost_device(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode, epoch: u64) {
        let texture_id = self.gpu.invalid_texture(self.device);
        let configuration = ContextConfiguration { alpha_mode, ..self.configuration(size) };
        let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
        self.present(texture, epoch).unwrap();
        let end = self.end();
        assert!(matches!(end, PresentEnd::Failed(PresentError::DeviceLost)), "{end:?}");
    }

    #[track_caller]
    fn assert_blank(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) {
        let pixel = if alpha_mode == AlphaMode::Opaque { BLACK } else { CLEAR };
        assert_eq!(self.shown(), pixel);
        self.assert_reads_blank(size, alpha_mode);
    }

    #[track_caller]
    fn assert_reads_blank(&mut self, size: Size2D<u32>, alpha_mode: AlphaMode) {
        let pixel = if alpha_mode == AlphaMode::Opaque { BLACK } else { CLEAR };
        let image = self.get_image(None).unwrap();
        assert_eq!((image.size(), image.alpha_mode()), (size, alpha_mode));
        assert_eq!(image.to_vec().unwrap(), pixel.repeat(size.area() as usize));
    }

    /// Presents and reads back to back. Each read must get the frame before it, and the last frame must be shown.
    #[track_caller]
    fn assert_reads_get_their_frames(&mut self, count: u32, size: Size2D<u32>) {
        let mut reads = Vec::new();
        for i in 1..=count {
            self.present_solid(value(i), size, i.into());
            reads.push(self.ask_image(None));
        }
        for (i, read) in (1..=count).zip(&reads) {
            let image = self.wait_for(read).unwrap_or_else(|error| panic!("read {i}: {error}"));
            assert_eq!(image.size(), size);
            assert!(image.to_vec().unwrap() == value(i).repeat(size.area() as usize), "read {i}");
        }
        for i in 1..=count {
            let PresentOutcome { epoch, end, .. } = self.outcomes.recv_timeout(TIMEOUT).unwrap();
            assert!(matches!(end, PresentEnd::Presented), "present {i}: {end:?}");
            assert_eq!(epoch, CanvasEpoch(i.into()));
        }
        self.assert_shows(value(count));
    }
}

#[rstest]
fn reads_that_nobody_awaits_get_their_frames(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.assert_reads_get_their_frames(24, size(64, 64));
    world.finish();
}

#[rstest]
fn reads_get_their_frames_with_few_buffer_ids(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(1, 2, 3)] ids: u32,
) {
    let Some(mut world) = World::new(setup) else { return };
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Provided((0..ids).map(|index| BufferId::zip(index, 1)).collect()));
    world.assert_reads_get_their_frames(24, size(64, 64));
    world.finish();
}

#[rstest]
fn textures_that_are_read_and_destroyed_at_once_give_their_pixels(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(16, 30)] count: u32,
) {
    let Some(mut world) = World::new(setup) else { return };
    let size = size(64, 64);
    let mut reads = Vec::new();
    for i in 0..count {
        let texture = world.solid(value(i), size);
        reads.push(world.ask_image(Some(texture)));
        let mut batch = world.presenter.batch();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    for (i, read) in (0..count).zip(&reads) {
        let image = world.wait_for(read).unwrap_or_else(|error| panic!("read {i}: {error}"));
        assert!(image.to_vec().unwrap() == value(i).repeat(64 * 64), "read {i}");
    }
    world.finish();
}

// What a renderer holds locked neither changes nor delays what is newer.
#[rstest]
fn a_frame_that_stays_locked_does_not_delay_newer_ones(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(RED, size(16, 16), 1);
    let locked = world.offer();
    assert_eq!(world.lock(locked), RED);
    for i in 0..300 {
        world.show(value(i), size(16, 16), 2 + u64::from(i));
    }
    assert_eq!(world.lock(locked), RED, "the renderer reads it still");
    let newest = world.offer();
    assert_eq!(world.lock(newest), value(299));
    [locked, locked, newest].into_iter().for_each(|offer| world.unlock(offer));
    world.finish();
}

#[rstest]
fn sizes_that_change_without_a_render_leave_the_newest(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for side in 3..=8u8 {
        world.show([side * 10; 4], size(side.into(), side.into()), side.into());
    }
    for _ in 0..2 {
        assert_eq!(world.shown(), [80; 4]);
    }
    assert_eq!(world.epochs(), [3, 4, 5, 6, 7, 8], "one update for each present");
    world.finish();
}

#[rstest]
fn what_is_drawn_on_a_destroyed_device_is_blank(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(AlphaMode::Opaque, AlphaMode::Premultiplied)] alpha_mode: AlphaMode,
    #[values(false, true)] presented_before: bool,
) {
    let Some(mut world) = World::new(setup) else { return };
    if presented_before {
        world.show(GREEN, size(20, 20), 1);
    }
    world.presenter.destroy_device(world.device.id);
    world.assert_shows(if presented_before { GREEN } else { CLEAR });
    world.present_on_lost_device(size(30, 20), alpha_mode, 2);
    world.assert_blank(size(30, 20), alpha_mode);
    assert_eq!(world.last_epoch(), Some(2));
    world.finish();
}

#[rstest]
fn a_frame_presented_before_its_device_goes_arrives(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(false, true)] drops: bool,
) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(RED, size(16, 16), 1);
    world.present_solid(GREEN, size(16, 16), 2);
    match drops {
        false => world.presenter.destroy_device(world.device.id),
        true => world.presenter.drop_device(world.device.id),
    }
    let end = world.end();
    assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    world.assert_shows(GREEN);
    assert_eq!(world.last_epoch(), Some(2));
    if drops {
        world.gpu.global.queue_drop(world.device.queue);
    }
    world.finish();
}

// A handler that drops the generation cannot say which descriptor it draws.
#[rstest]
fn a_lock_without_a_generation_is_as_long_as_the_largest_descriptor(
    #[values(Owned, Portable, Gl)] setup: Setup,
) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(RED, size(400, 300), 1);
    world.show(RED, size(400, 300), 2);
    // 400 pixels of 4 bytes, rounded up to the 1792 bytes of a row in a buffer.
    assert!(world.offer().0.compute_total_size() <= 1792 * 300);
    world.show(GREEN, size(40, 30), 3);
    let (newest, _) = world.offer();
    for _ in 0..3 {
        let source = world.images.lock(CONTEXT.into(), None);
        let ExternalImageSource::RawData(bytes) = source else { panic!("it is shown") };
        assert!(bytes.len() >= 1792 * 300, "{} bytes", bytes.len());
        assert_eq!(uniform(ExternalImageSource::RawData(bytes), &newest), GREEN, "the newest frame");
    }
    (0..3).for_each(|_| world.images.unlock(CONTEXT.into(), None));
    world.finish();
}

// A page that configures its canvas anew, or sets its size, reads a cleared canvas of that size. The screen waits for a present.
#[rstest]
fn a_drawing_buffer_that_is_replaced_before_any_present_is_cleared_at_its_new_size(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(AlphaMode::Opaque, AlphaMode::Premultiplied)] alpha_mode: AlphaMode,
) {
    let Some(mut world) = World::new(setup) else { return };
    for new_size in [size(30, 20), size(3, 1)] {
        world.presenter.replace_drawing_buffer(CONTEXT, new_size, alpha_mode).unwrap();
        world.assert_reads_blank(new_size, alpha_mode);
        assert_eq!(world.shown(), CLEAR);
    }
    world.show(GREEN, size(5, 5), 1);
    world.assert_shows(GREEN);
    world.presenter.replace_drawing_buffer(CONTEXT, size(7, 9), alpha_mode).unwrap();
    world.assert_reads_blank(size(7, 9), alpha_mode);
    assert_eq!(world.shown(), GREEN);
    world.finish();
}
