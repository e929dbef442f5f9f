//! What goes wrong on real GPUs: textures, contexts and devices that end while they are in use.

use wgpu_core::id::{DeviceId, QueueId, TextureId};
use wgpu_core::resource::BufferDescriptor;
use wgpu_types::BufferUsages;

use super::world::*;
use crate::support::memory::threads;

/// What is shown after a copy that was in flight when its device went. It arrives in owned memory; portable memory may have been
/// freed before.
#[track_caller]
fn arrived<T>(setup: Setup, end: &PresentEnd, new: T, old: T) -> T {
    match (end, setup.memory()) {
        (PresentEnd::Presented, _) => new,
        (PresentEnd::Failed(PresentError::DeviceLost), FrameMemoryKind::Portable) => old,
        (end, _) => panic!("{end:?}"),
    }
}

// The bytes that a renderer reads must not be memory that wgpu-core frees with the device.
#[rstest]
fn what_is_shown_survives_its_device(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(GREEN, size(3840, 2160), 1);
    let offer = world.offer();
    assert_eq!(world.lock(offer), GREEN);
    let device = world.device;
    world.presenter.destroy_device(device.id);
    world.presenter.maintain();
    assert_eq!(world.lock(offer), GREEN);
    world.unlock(offer);
    world.unlock(offer);
    world.assert_shows(GREEN);
    world.presenter.drop_device(device.id);
    world.gpu.global.queue_drop(device.queue);
    world.assert_shows(GREEN);
    // A new device takes over.
    world.device = world.gpu.device();
    world.show(RED, size(4, 4), 2);
    world.assert_shows(RED);
    world.finish();
}

// The engine, or a driver, can destroy a device without the presenter.
#[rstest]
fn a_device_destroyed_behind_our_back_frees_nothing_that_is_shown(
    #[values(Owned, Portable, Gl)] setup: Setup,
) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(GREEN, size(1024, 1024), 1);
    let offer = world.offer();
    world.present_solid(RED, size(1024, 1024), 2);
    world.gpu.global.device_destroy(world.device.id);
    world.gpu.global.device_poll(world.device.id, wgpu_types::PollType::Poll).unwrap();
    world.lock(offer);
    world.unlock(offer);
    // The copy was submitted before. The poll frees portable memory, if the copy was done by then.
    let shown = arrived(setup, &world.end(), RED, GREEN);
    assert_eq!(world.shown(), shown);
    let texture_id = world.gpu.invalid_texture(world.device);
    let configuration = world.configuration(size(4, 4));
    let _ = world.present_kept(PendingTexture { texture_id, encoder_ids: None, configuration }, 3);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::DeviceLost)));
    // What is drawn on a lost device is blank.
    world.assert_shows(CLEAR);
    assert_eq!(world.last_epoch(), Some(3));
    assert_no_validation_errors();
}

#[rstest]
fn copies_in_flight_end_when_their_device_goes(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(false, true)] drop_device: bool,
) {
    let Some(mut world) = World::new(setup) else { return };
    world.present_solid(GREEN, size(2048, 2048), 1);
    let waiting = world.ask_image(None);
    world.presenter.destroy_device(world.device.id);
    if drop_device {
        world.presenter.drop_device(world.device.id);
        world.gpu.global.queue_drop(world.device.queue);
    }
    // A copy of this size may take longer than the destruction of its device waits.
    let shown = arrived(setup, &world.end(), GREEN, CLEAR);
    let read = waiting.recv_timeout(TIMEOUT).unwrap();
    if shown == GREEN {
        assert!(read.unwrap().to_vec().unwrap() == GREEN.repeat(2048 * 2048));
    } else {
        // The read asked for this frame and no other.
        assert!(matches!(read, Err(GetImageError::Texture(PresentError::DeviceLost))), "{read:?}");
    }
    assert_eq!(world.shown(), shown);
    world.finish();
}

#[rstest]
fn contexts_are_destroyed_with_copies_in_flight(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for round in 0..50 {
        world.present_solid(GREEN, size(512, 512), round);
        let waiting = world.ask_image(None);
        world.presenter.destroy_context(CONTEXT).unwrap();
        assert!(waiting.recv_timeout(TIMEOUT).is_ok());
        world.end();
        world.presenter.create_context(CONTEXT, descriptor()).unwrap();
        assert_eq!(world.get_image(None).unwrap().to_vec().unwrap(), [0; 32]);
    }
    world.finish();
}

#[rstest]
fn bad_textures_fail_alone_with_their_reason(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(GREEN, size(8, 8), 1);

    // Smaller than configured.
    let small = world.solid(RED, size(4, 4));
    let configuration = ContextConfiguration { size: size(8, 8), ..small.configuration };
    let _ = world.present(PendingTexture { configuration, ..small }, 2);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // Without the usage COPY_SRC.
    let format = TextureFormat::Bgra8Unorm;
    let texture_id = world.gpu.texture(world.device, format, size(8, 8), TextureUsages::RENDER_ATTACHMENT);
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 3);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // A texture of another device than the canvas's.
    let other = world.gpu.device();
    let foreign = world.gpu.canvas(other, configuration, &RED.repeat(64));
    let _ = world.present(foreign, 4);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::WrongDevice)));
    assert_eq!(world.shown(), GREEN);

    // Destroyed before its present.
    let destroyed = world.solid(RED, size(8, 8));
    world.gpu.global.texture_destroy(destroyed.texture_id);
    let _ = world.present(destroyed, 5);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureDestroyed)));
    world.assert_shows(CLEAR);

    world.show(GREEN, size(8, 8), 6);

    // An error texture.
    let texture_id = world.gpu.invalid_texture(world.device);
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 7);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureInvalid)));
    world.assert_shows(CLEAR);
    assert_eq!(world.epochs(), [1, 2, 3, 4, 5, 6, 7], "each is acknowledged, in order");
    world.finish();
}

#[rstest]
fn a_bad_texture_hurts_no_neighbour(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let contexts: Vec<_> = (100..110).map(ContextId).collect();
    for context in &contexts {
        world.presenter.create_context(*context, descriptor()).unwrap();
    }
    let textures: Vec<_> = contexts.iter().map(|_| world.solid(GREEN, size(16, 16))).collect();
    world.gpu.global.texture_destroy(textures[3].texture_id);
    let mut batch = world.presenter.batch();
    for (context, texture) in contexts.iter().zip(&textures) {
        batch.present(*context, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    batch.submit();
    for _ in &contexts {
        let PresentOutcome { context, end, .. } = world.outcomes.recv_timeout(TIMEOUT).unwrap();
        let is_right = match end {
            PresentEnd::Presented => context != contexts[3],
            PresentEnd::Failed(PresentError::TextureDestroyed) => context == contexts[3],
            _ => false,
        };
        assert!(is_right, "{context:?}: {end:?}");
    }
    world.finish();
}

// wgpu-core panics at such ids. An engine whose ids come from a page must lose nothing but the present that named them.
#[rstest]
fn ids_that_wgpu_core_does_not_know_fail_alone(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let ids = |index| EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    };
    let with_ids = |texture, index| PendingTexture { encoder_ids: Some(ids(index)), ..texture };
    let neighbor = ContextId(100);
    world.presenter.create_context(neighbor, descriptor()).unwrap();
    let configuration = world.configuration(size(8, 8));
    let unknown = PendingTexture { texture_id: TextureId::zip(4000, 1), encoder_ids: None, configuration };
    let known = world.solid(GREEN, size(8, 8));
    let mut batch = world.presenter.batch();
    for (context, texture) in [(CONTEXT, with_ids(unknown, 1)), (neighbor, with_ids(known, 2))] {
        batch.present(context, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
    }
    batch.submit();
    for _ in 0..2 {
        let PresentOutcome { context, end, .. } = world.outcomes.recv_timeout(TIMEOUT).unwrap();
        let is_right = match end {
            PresentEnd::Presented => context == neighbor,
            PresentEnd::Failed(PresentError::Panicked) => context == CONTEXT,
            _ => false,
        };
        assert!(is_right, "{context:?}: {end:?}");
    }
    let returned: Vec<_> = world.returned.try_iter().collect();
    for index in [1, 2] {
        let EncoderIds { command_encoder, command_buffer } = ids(index);
        for id in [ReturnedId::CommandEncoder(command_encoder), ReturnedId::CommandBuffer(command_buffer)] {
            assert_eq!(returned.iter().filter(|returned| **returned == id).count(), 1, "{id:?}");
        }
    }
    // wgpu-core takes the ids for free too.
    let red = with_ids(world.solid(RED, size(8, 8)), 1);
    world.present(red, 2).unwrap();
    assert!(matches!(world.end(), PresentEnd::Presented));
    world.assert_shows(RED);
    let (device_id, queue_id) = (DeviceId::zip(4000, 1), QueueId::zip(4000, 1));
    for configuration in [
        ContextConfiguration { device_id, ..configuration },
        ContextConfiguration { queue_id, ..configuration },
    ] {
        let texture = PendingTexture { configuration, ..world.solid(GREEN, size(8, 8)) };
        world.present(with_ids(texture, 3), 3).unwrap();
        let end = world.end();
        assert!(matches!(end, PresentEnd::Failed(PresentError::Panicked)), "{end:?}");
    }
    world.assert_shows(RED);
    let green = with_ids(world.solid(GREEN, size(8, 8)), 3);
    world.present(green, 4).unwrap();
    assert!(matches!(world.end(), PresentEnd::Presented));
    world.assert_shows(GREEN);
    world.finish();
}

// A page chooses the ids. wgpu-core puts the staging buffer in the place of the page's own before it panics.
#[rstest]
fn a_staging_id_that_names_another_buffer_costs_one_present(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(gpu) = setup.gpu() else { return };
    let device = gpu.device();
    let id = BufferId::zip(7, 1);
    let descriptor = BufferDescriptor {
        label: None,
        size: 64,
        usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
        mapped_at_creation: false,
    };
    let (_, error) = gpu.global.device_create_buffer(device.id, &descriptor, Some(id));
    assert!(error.is_none(), "{error:?}");
    let mut world = World::on(gpu, setup.options());
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Provided(vec![id]));
    world.present_solid(RED, size(64, 64), 1);
    let end = world.end();
    assert!(matches!(end, PresentEnd::Failed(PresentError::Panicked)), "{end:?}");
    world.show(GREEN, size(64, 64), 2);
    assert_eq!(world.shown(), GREEN);
    world.presenter.destroy_context(CONTEXT).unwrap();
    let buffers = world.gpu.global.generate_report().hub_report().buffers.num_kept_from_user;
    assert_eq!(buffers, 0, "no buffer is left under an id that the page has again");
    // wgpu-core goes on counting the id of the buffer that was replaced, so `finish` would find one.
    drop(world);
    assert_no_validation_errors();
}

// wgpu-core waits for the device when its queue is dropped.
#[rstest]
fn a_queue_is_dropped_when_its_device_is_idle(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.present_solid(GREEN, size(2048, 2048), 1);
    let device = world.device;
    world.presenter.drop_queue(device.id, device.queue);
    world.presenter.destroy_device(device.id);
    world.presenter.drop_device(device.id);
    let shown = arrived(setup, &world.end(), GREEN, CLEAR);
    assert_eq!(world.shown(), shown);
    let queues = || world.gpu.global.generate_report().hub_report().queues.num_kept_from_user;
    let deadline = Instant::now() + TIMEOUT;
    while queues() > 0 {
        assert!(Instant::now() < deadline, "{} queues", queues());
        std::thread::sleep(Duration::from_millis(1));
    }
    world.finish();
}

// A page can make and lose devices as fast as it likes: no thread, device or memory may stay behind.
#[rstest]
fn a_flood_of_devices_leaves_nothing_behind(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for round in 0..30 {
        let device = world.gpu.device();
        let previous = std::mem::replace(&mut world.device, device);
        world.present_solid([round, 0, 0, 255], size(64, 64), u64::from(round));
        if round % 2 == 0 {
            world.presenter.destroy_device(previous.id);
        }
        world.presenter.drop_device(previous.id);
        world.gpu.global.queue_drop(previous.queue);
    }
    for _ in 0..30 {
        world.end();
    }
    world.assert_shows([29, 0, 0, 255]);
    let deadline = Instant::now() + TIMEOUT;
    while threads() > 40 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(threads() <= 40, "{} threads", threads());
    let report = world.gpu.global.generate_report();
    assert_eq!(report.hub_report().devices.num_kept_from_user, 1);
    world.finish();
}
