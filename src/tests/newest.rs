//! The newest frame is what is shown, and every read gets its frame, whatever compositors and pages do: hide a canvas for
//! minutes, resize it several times between two renders, read it many times without awaiting, draw on after a device is gone.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rstest::rstest;
use webrender_api::{ExternalImageId, ExternalImageSource, ImageDescriptor};

use super::world::*;
use crate::gpu::fake;
use crate::{
    AlphaMode, BufferIds, CanvasEpoch, Contents, ContextId, ExternalImages, GetImageError, PresentEnd,
    PresentError,
};

const ID: ExternalImageId = ExternalImageId(CONTEXT.0);

/// Length of a lock, with a generation or without.
fn locked_len(images: &mut ExternalImages, generation: Option<u8>) -> usize {
    let ExternalImageSource::RawData(bytes) = images.lock(ID, generation) else { panic!("not locked") };
    let len = bytes.len();
    images.unlock(ID, generation);
    len
}

fn needed(descriptor: &ImageDescriptor) -> usize {
    descriptor.compute_total_size() as usize
}

impl World {
    /// Presents in a batch that ends the texture, as engines do.
    fn present_and_drop(&mut self, pixel: [u8; 4], epoch: u64) -> u64 {
        let texture = self.texture(pixel, size(4, 2));
        let mut batch = self.presenter.batch();
        let sequence = batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        sequence
    }

    /// Does what an engine does that is woken, until a read is answered.
    fn run_until_answered(&mut self, read: &Receiver<Answer>) -> Answer {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.gpu.finish(device(0));
            self.presenter.maintain();
            if let Ok(answer) = read.recv_timeout(Duration::from_millis(5)) {
                return answer;
            }
            assert!(Instant::now() < deadline, "the read is answered");
        }
    }
}

// A renderer that has locked a frame, and then nothing for as long as the canvas is hidden, must not show a frame of the past.
#[rstest]
fn a_canvas_that_was_hidden_shows_its_newest_frame_at_once(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(1, 2, 254, 255, 256, 300, 1000)] presents: u64,
) {
    let mut world = World::showing_red(memory);
    assert_eq!(world.shown(), RED);
    for i in 0..presents {
        world.show([(i % 251) as u8; 4], 2 + i);
    }
    assert_eq!(world.shown(), [((presents - 1) % 251) as u8; 4]);
}

#[rstest]
fn a_canvas_that_was_never_shown_shows_its_newest_frame_under_a_new_key(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    for i in 0..400u64 {
        world.show([(i % 251) as u8; 4], i);
    }
    world.presenter.set_image_key(CONTEXT, key(CONTEXT.0 as u32)).unwrap();
    assert_eq!(world.shown(), [(399 % 251) as u8; 4]);
}

#[rstest]
fn sizes_that_change_without_a_render_leave_the_newest(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(1, 3, 6, 40, 300)] sizes: u32,
) {
    let mut world = World::new(memory);
    for i in 0..sizes {
        let side = 3 + i;
        let sequence = world.show_texture(world.texture([i as u8; 4], size(side, side)), i.into());
        world.assert_presented(sequence);
    }
    // The first render shows it, and so do the following ones. No update comes later.
    let calls = world.recorder.calls();
    for _ in 0..2 {
        assert_eq!(world.shown(), [(sizes - 1) as u8; 4]);
    }
    assert_eq!(world.recorder.calls(), calls);
}

#[rstest]
fn a_drag_shows_the_newer_of_two_sizes_in_each_render(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::showing_red(memory);
    for i in 1..200u32 {
        for side in [2 * i, 2 * i + 1] {
            world.show_texture(world.texture([side as u8; 4], size(side, 3)), side.into());
        }
        assert_eq!(world.shown(), [(2 * i + 1) as u8; 4]);
    }
}

// Two renderers, of which one is asleep.
#[rstest]
fn a_second_renderer_that_sleeps_wakes_up_to_the_newest_frame(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    let mut sleeper = ExternalImages::new(&world.map);
    let built = world.last_offer();
    assert_eq!(lock(&mut sleeper, built), RED);
    sleeper.unlock(ID, Some(built.1));
    for i in 0..700u32 {
        let side = 1 + i % 300;
        world.show_texture(world.texture([side as u8; 4], size(side, 2)), i.into());
        assert_eq!(world.shown(), [side as u8; 4]);
        if i % 97 == 0 {
            let newest = world.last_offer();
            // What it has built long ago fits its descriptor, though the generation may stand for another size by now.
            assert!(locked_len(&mut sleeper, Some(built.1)) >= needed(&built.0));
            assert_eq!(lock(&mut sleeper, newest), [side as u8; 4]);
            sleeper.unlock(ID, Some(newest.1));
        }
    }
}

// A renderer that was built before, and draws for the first time when all generations stand for other sizes.
#[rstest]
fn a_renderer_that_lags_by_more_sizes_than_there_are_generations_gets_enough_bytes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut sleeper = ExternalImages::new(&world.map);
    let mut built = Vec::new();
    for i in 0..600u32 {
        // They become smaller, which is the bad case.
        let side = 700 - i;
        world.show_texture(world.texture([i as u8; 4], size(side, 2)), i.into());
        built.push(world.last_offer());
        assert_eq!(world.shown(), [i as u8; 4]);
    }
    for offer in built.iter().step_by(7) {
        assert!(locked_len(&mut sleeper, Some(offer.1)) >= needed(&offer.0));
    }
    let newest = world.last_offer();
    assert_eq!(lock(&mut sleeper, newest), [(599 % 256) as u8; 4]);
}

// Padded copies are for a renderer that lags. One that has caught up reads the frames where they are.
#[rstest]
fn a_canvas_that_was_hidden_for_more_sizes_than_there_are_generations_is_soon_read_without_copies(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut images = ExternalImages::new(&world.map);
    for i in 0..600u32 {
        world.show_texture(world.texture(GREEN, size(700 - i, 2)), i.into());
    }
    for epoch in 600..608 {
        world.show_texture(world.texture(RED, size(3, 2)), epoch);
        let (descriptor, generation) = world.last_offer();
        let len = locked_len(&mut images, Some(generation));
        assert!(if epoch < 607 { len >= needed(&descriptor) } else { len == needed(&descriptor) }, "{len}");
    }
}

// Without a generation nobody knows which descriptor is meant.
#[test]
fn a_lock_without_a_generation_of_a_context_that_ended_is_not_shared() {
    let mut world = World::new(Owned);
    let mut images = ExternalImages::new(&world.map);
    let ExternalImageSource::RawData(bytes) = images.lock(ID, None) else { panic!("not locked") };
    assert_eq!(bytes.len(), 4);
    world.show_texture(world.texture(GREEN, size(300, 200)), 1);
    let (descriptor, _) = world.last_offer();
    world.presenter.destroy_context(CONTEXT).unwrap();
    let ExternalImageSource::RawData(bytes) = images.lock(ID, None) else { panic!("not locked") };
    assert!(bytes.len() >= needed(&descriptor) && bytes.iter().all(|byte| *byte == 0));
}

fn assert_reads_get_their_frames(mut world: World, count: u8) {
    let mut reads = Vec::new();
    for i in 1..=count {
        world.present_and_drop([i; 4], i.into());
        reads.push(world.get_image(None));
    }
    for (i, read) in (1..=count).zip(&reads) {
        let image = world.run_until_answered(read).unwrap_or_else(|error| panic!("read {i}: {error}"));
        assert_eq!(first_pixel(&image), [i; 4], "read {i}");
    }
    (1..=u64::from(count)).for_each(|sequence| world.assert_presented(sequence));
    assert_eq!(world.shown(), [count; 4]);
    assert_eq!(world.gpu.textures(), 0, "textures are kept for their copies, and no longer");
}

#[rstest]
fn reads_that_nobody_awaits_get_their_frames(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(12, 24, 200)] count: u8,
) {
    assert_reads_get_their_frames(World::new(memory), count);
}

#[rstest]
fn reads_get_their_frames_with_few_buffer_ids(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(1, 2, 5)] ids: u32,
) {
    let mut world = World::empty(memory);
    world.create(BufferIds::Provided((1..=ids).map(fake::buffer).collect()));
    world.presenter.set_image_key(CONTEXT, key(CONTEXT.0 as u32)).unwrap();
    assert_reads_get_their_frames(world, 24);
}

#[rstest]
fn textures_that_nobody_awaits_are_all_read(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(16, 30, 200)] count: u8,
) {
    let mut world = World::new(memory);
    let reads: Vec<_> = (0..count)
        .map(|i| {
            let texture = world.texture([i; 4], size(5, 3));
            let read = world.get_image(Some(texture));
            let mut batch = world.presenter.batch();
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
            read
        })
        .collect();
    // What script reads does not keep the canvas from being presented.
    let red = world.present(RED, 1);
    for (i, read) in (0..count).zip(&reads) {
        assert_eq!(first_pixel(&world.run_until_answered(read).unwrap()), [i; 4]);
    }
    world.until_ended(red);
    world.assert_shows(RED);
}

// A page that never awaits must not use up memory: its reads fail, its newest present does not.
#[rstest]
fn reads_without_end_are_refused_and_the_newest_frame_is_shown(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let (mut reads, mut last) = (Vec::new(), 0);
    for i in 0..1500u64 {
        last = world.present_and_drop([(i % 251) as u8; 4], i);
        reads.push(world.get_image(None));
    }
    assert!(world.gpu.textures() <= 1024 + 2, "{} textures are kept", world.gpu.textures());
    let answers: Vec<_> = reads.iter().map(|read| world.run_until_answered(read)).collect();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(GetImageError::TooManyReads))).count();
    assert!((1..1000).contains(&refused), "{refused}");
    for (i, answer) in answers.iter().enumerate() {
        if let Ok(image) = answer {
            assert_eq!(first_pixel(image), [(i % 251) as u8; 4]);
        }
    }
    world.until_ended(last);
    world.assert_presented(last);
    assert_eq!(world.shown(), [(1499 % 251) as u8; 4]);
}

// A read that is refused does not keep its texture until those before it are made.
#[rstest]
fn textures_of_reads_that_are_refused_are_dropped_at_once(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    let mut reads = Vec::new();
    for i in 0..1200u32 {
        let texture = world.texture([(i % 251) as u8; 4], size(4, 2));
        reads.push(world.get_image(Some(texture)));
        let mut batch = world.presenter.batch();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    assert!(world.gpu.textures() <= 1024, "{} textures are kept", world.gpu.textures());
    for (i, read) in reads.iter().enumerate() {
        match world.run_until_answered(read) {
            Ok(image) => assert_eq!(first_pixel(&image), [(i % 251) as u8; 4]),
            Err(error) => assert!(i >= 1024 && matches!(error, GetImageError::TooManyReads), "{i}: {error}"),
        }
    }
    assert_eq!(world.gpu.textures(), 0);
}

// What waits for room and no read is overtaken by what is newer, and its texture goes with it.
#[rstest]
fn presents_that_wait_are_overtaken_by_newer_ones() {
    let mut world = World::empty(Portable);
    world.create(BufferIds::Provided(vec![fake::buffer(1)]));
    world.presenter.set_image_key(CONTEXT, key(CONTEXT.0 as u32)).unwrap();
    world.present_and_drop([1; 4], 1);
    let read = world.get_image(None);
    for i in 2..100 {
        world.present_and_drop([i; 4], i.into());
        assert!(world.gpu.textures() <= 3, "{} textures are kept", world.gpu.textures());
    }
    assert_eq!(first_pixel(&world.run_until_answered(&read).unwrap()), [1; 4]);
    let last = world.get_image(None);
    assert_eq!(first_pixel(&world.run_until_answered(&last).unwrap()), [99; 4]);
    world.assert_presented(99);
    assert_eq!(world.shown(), [99; 4]);
    assert_eq!(world.gpu.textures(), 0);
}

// Every end and every id comes, though the context is destroyed while copies wait.
#[rstest]
fn copies_that_wait_end_with_their_context() {
    let mut world = World::empty(Portable);
    world.create(BufferIds::Provided(vec![fake::buffer(1)]));
    let mut reads = Vec::new();
    for i in 1..=5u8 {
        let texture = with_ids(world.texture([i; 4], size(4, 2)), fake::encoder_ids(i.into()));
        world.present_texture(texture, i.into()).unwrap();
        reads.push(world.get_image(None));
    }
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.presenter.maintain();
    reads.iter().for_each(assert_unknown);
    for sequence in 1..=5 {
        assert!(matches!(world.error_of(sequence), PresentError::ContextDestroyed));
    }
    world.sync();
    assert_eq!(world.recorder.get(|record| record.ids.len()), 2 * 5 + 1);
}

#[rstest]
fn what_is_drawn_on_a_destroyed_device_is_blank_though_nothing_was_presented_before(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.presenter.destroy_device(device(0));
    let mut texture = world.texture(GREEN, size(30, 20));
    texture.configuration.alpha_mode = AlphaMode::Opaque;
    let sequence = world.present_texture(texture, 7).unwrap();
    assert!(matches!(world.end_of(sequence), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!((world.shown(), world.acknowledged()), ([0, 0, 0, 255], Some(7)));
    let image = world.read_image();
    assert_eq!((image.size(), image.alpha_mode()), (size(30, 20), AlphaMode::Opaque));
    assert_eq!(image.to_vec().unwrap(), [0, 0, 0, 255].repeat(600));
}

// wgpu-core frees portable memory with its device, so the short wait for the copy comes before.
#[rstest]
fn a_frame_presented_before_its_device_is_destroyed_arrives(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(false, true)] drops: bool,
) {
    let mut world = World::showing_red(memory);
    let green = world.present(GREEN, 2);
    let gpu = world.gpu.clone();
    let finishing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2));
        gpu.finish(device(0));
    });
    match drops {
        false => world.presenter.destroy_device(device(0)),
        true => world.presenter.drop_device(device(0)),
    }
    finishing.join().unwrap();
    world.until_ended(green);
    world.assert_presented(green);
    world.assert_shows(GREEN);
}

#[rstest]
fn a_device_that_hangs_delays_its_destruction_for_a_moment_only() {
    let mut world = World::showing_red(Portable);
    let green = world.present(GREEN, 2);
    let start = Instant::now();
    world.presenter.destroy_device(device(0));
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
    world.gpu.finish(device(0));
    assert!(matches!(world.error_of(green), PresentError::DeviceLost));
    world.assert_shows(RED);
}

// A handler that drops the generation cannot say which descriptor it draws.
#[rstest]
fn a_lock_without_a_generation_is_never_shorter_than_a_descriptor(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::new(memory);
    world.show_texture(world.texture(RED, size(400, 300)), 1);
    let (largest, _) = world.last_offer();
    world.show_texture(world.texture(RED, size(400, 300)), 2);
    world.show_texture(world.texture(GREEN, size(40, 30)), 3);
    for _ in 0..3 {
        assert!(locked_len(&mut world.images, None) >= needed(&largest));
    }
    let ExternalImageSource::RawData(bytes) = world.images.lock(ID, None) else { panic!("not locked") };
    assert_eq!(bytes[..4], GREEN, "and it is the newest frame");
}

#[rstest]
fn an_id_that_is_used_again_gives_old_descriptors_enough_bytes(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
    #[values(0, 5, 1024, 5000)] others: u64,
) {
    let mut world = World::new(memory);
    let key = |index| key(index as u32);
    world.show_texture(world.texture(RED, size(400, 300)), 1);
    let old = world.last_offer();
    world.presenter.destroy_context(CONTEXT).unwrap();
    for index in 0..others {
        let id = ContextId(1000 + index);
        world.presenter.create_context(id, descriptor(PAGE)).unwrap();
        world.presenter.set_image_key(id, key(1000 + index)).unwrap();
        world.presenter.destroy_context(id).unwrap();
    }
    assert!(locked_len(&mut world.images, Some(old.1)) >= needed(&old.0), "while nobody has the id");
    world.create(BufferIds::Allocated);
    assert!(locked_len(&mut world.images, None) >= needed(&old.0), "without a key");
    world.presenter.set_image_key(CONTEXT, key(CONTEXT.0)).unwrap();
    let sequence = world.present_texture(world.texture(GREEN, size(40, 30)), 1).unwrap();
    world.gpu.finish(device(0));
    world.recorder.until_ended_again(CONTEXT, sequence);
    assert!(locked_len(&mut world.images, Some(old.1)) >= needed(&old.0));
    let new = world.last_offer();
    assert_eq!(world.locked(new), GREEN);
    assert!(locked_len(&mut world.images, None) >= needed(&old.0));
}

#[rstest]
fn a_context_that_ended_while_frames_are_queued_is_blank(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let mut world = World::new(memory);
    let mut built = Vec::new();
    for side in 1..20 {
        world.show_texture(world.texture(RED, size(side, side)), side.into());
        built.push(world.last_offer());
    }
    world.presenter.destroy_context(CONTEXT).unwrap();
    for (descriptor, generation) in built {
        let ExternalImageSource::RawData(bytes) = world.images.lock(ID, Some(generation)) else {
            panic!("WebRender paints it white")
        };
        assert!(bytes.len() >= needed(&descriptor) && bytes.iter().all(|byte| *byte == 0));
        world.images.unlock(ID, Some(generation));
    }
    // An id that no displayed context ever had is another matter.
    assert!(matches!(world.images.lock(ExternalImageId(4711), Some(0)), ExternalImageSource::Invalid));
}

// A page that configures its canvas anew, or sets its size, reads a cleared one of that size. The screen waits for a present.
#[rstest]
fn a_drawing_buffer_that_was_replaced_is_cleared_at_its_new_size(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let mut world = World::showing_red(memory);
    world.present(GREEN, 2);
    for (new_size, alpha_mode) in [
        (size(30, 20), AlphaMode::Opaque),
        (size(0, 5), AlphaMode::Premultiplied),
        (size(3, 1), AlphaMode::Opaque),
    ] {
        world.presenter.replace_drawing_buffer(CONTEXT, new_size, alpha_mode).unwrap();
        let image = world.read_image();
        assert_eq!((image.size(), image.alpha_mode()), (new_size, alpha_mode));
        let pixel = if alpha_mode == AlphaMode::Opaque { [0, 0, 0, 255] } else { CLEAR };
        assert_eq!(image.to_vec().unwrap(), pixel.repeat(new_size.area() as usize));
    }
    world.finish(2);
    world.presenter.maintain();
    assert_eq!((world.shown(), world.read_image().size()), (GREEN, size(3, 1)));
    world.show(RED, 3);
    world.assert_shows(RED);
    assert!(world.presenter.replace_drawing_buffer(ContextId(4711), size(1, 1), AlphaMode::Opaque).is_err());
}

#[rstest]
fn a_present_reports_that_its_context_is_unknown_and_nothing_else() {
    let mut world = World::new(Owned);
    let texture = world.texture(RED, size(4, 2));
    for (configured, unsupported) in [(size(u32::MAX, 1), false), (size(4, 2), true)] {
        let mut texture = texture;
        texture.configuration.size = configured;
        if unsupported {
            texture.configuration.format = wgpu_types::TextureFormat::Rgba32Float;
        }
        let sequence = world.present_texture(texture, 1).unwrap();
        assert!(matches!(world.end_of(sequence), PresentEnd::Failed(_)));
    }
    let unknown = world.presenter.present(ContextId(4711), Contents::Texture(texture), CanvasEpoch(1));
    assert_eq!(unknown.unwrap_err().0, ContextId(4711));
}
