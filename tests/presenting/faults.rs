//! What goes wrong, on real parts: R14, R15.

use super::world::*;

// R14, R19 and D2: the peer's compositor reads freed memory here.
#[rstest]
fn what_is_shown_survives_its_device(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let texture = world.solid(GREEN, size(3840, 2160));
    world.present_and_wait(texture, 1);
    let (descriptor, generation) = world.offer();
    assert_eq!(uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor), GREEN);
    let device = world.device;
    world.presenter.destroy_device(device.id);
    world.presenter.maintain();
    assert_eq!(uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor), GREEN);
    world.images.unlock(CONTEXT.into());
    world.images.unlock(CONTEXT.into());
    assert_eq!((world.shown(), world.read()), (GREEN, GREEN));
    world.presenter.drop_device(device.id);
    world.gpu.global.queue_drop(device.queue);
    assert_eq!((world.shown(), world.read()), (GREEN, GREEN));
    // A new device takes over.
    world.device = world.gpu.device();
    let texture = world.solid(RED, size(4, 4));
    world.present_and_wait(texture, 2);
    assert_eq!((world.shown(), world.read()), (RED, RED));
    world.finish();
}

// R14, behind the presenter's back.
#[rstest]
fn a_device_destroyed_behind_our_back_frees_nothing_that_is_shown(
    #[values(Owned, Portable, Gl)] setup: Setup,
) {
    let Some(mut world) = World::new(setup) else { return };
    let texture = world.solid(GREEN, size(1024, 1024));
    world.present_and_wait(texture, 1);
    let (descriptor, generation) = world.offer();
    let late = world.solid(RED, size(1024, 1024));
    world.present(late, 2).unwrap();
    world.gpu.global.device_destroy(world.device.id);
    world.gpu.global.device_poll(world.device.id, wgpu_types::PollType::Poll).unwrap();
    uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor);
    world.images.unlock(CONTEXT.into());
    // It was submitted before. Portable memory is freed by the poll, if the copy was done by then.
    let shown = match (world.end(), setup.memory()) {
        (PresentEnd::Presented, _) => RED,
        (PresentEnd::Failed(PresentError::DeviceLost), FrameMemoryKind::Portable) => GREEN,
        (end, _) => panic!("{end:?}"),
    };
    assert_eq!(world.shown(), shown);
    let texture_id = world.gpu.invalid_texture(world.device);
    let configuration = world.configuration(size(4, 4));
    let contents = Contents::Texture(PendingTexture { texture_id, encoder_ids: None, configuration });
    let _ = world.presenter.present(CONTEXT, contents, CanvasEpoch(3));
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::DeviceLost)));
    assert_eq!((world.shown(), world.read()), (shown, shown));
    assert_eq!(world.sink.0.lock().unwrap().last().unwrap().2, Some(3));
    assert_no_validation_errors();
}

// R14: destroyed and dropped with copies in flight. Those to owned memory arrive.
#[rstest]
fn copies_in_flight_end_when_their_device_goes(#[values(Owned, Portable, Gl)] setup: Setup) {
    for drop_device in [false, true] {
        let Some(mut world) = World::new(setup) else { return };
        let texture = world.solid(GREEN, size(2048, 2048));
        world.present(texture, 1).unwrap();
        let waiting = world.ask_image(None);
        world.presenter.destroy_device(world.device.id);
        if drop_device {
            world.presenter.drop_device(world.device.id);
            world.gpu.global.queue_drop(world.device.queue);
        }
        let image = |end| match (end, setup.memory()) {
            (PresentEnd::Presented, _) => GREEN.repeat(2048 * 2048),
            (PresentEnd::Failed(PresentError::DeviceLost), FrameMemoryKind::Portable) => CLEAR.repeat(8),
            (end, _) => panic!("{end:?}"),
        };
        let expected = image(world.end());
        assert!(waiting.recv_timeout(TIMEOUT).unwrap().unwrap().to_vec() == expected);
        assert_eq!(world.shown(), expected[..4]);
        world.finish();
    }
}

// D3.
#[rstest]
fn contexts_are_destroyed_with_copies_in_flight(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for round in 0..50 {
        let texture = world.solid(GREEN, size(512, 512));
        world.present(texture, round).unwrap();
        let waiting = world.ask_image(None);
        world.presenter.destroy_context(CONTEXT).unwrap();
        assert!(waiting.recv_timeout(TIMEOUT).is_ok());
        world.end();
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(CONTEXT, descriptor).unwrap();
        assert_eq!(world.get_image(None).unwrap().to_vec(), [0; 32]);
    }
    world.finish();
}

// R15.
#[rstest]
fn bad_textures_fail_alone_with_their_reason(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let good = world.solid(GREEN, size(8, 8));
    world.present_and_wait(good, 1);

    // Smaller than configured.
    let small = world.solid(RED, size(4, 4));
    let configuration = ContextConfiguration { size: size(8, 8), ..small.configuration };
    let _ = world.present(PendingTexture { configuration, ..small }, 2);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // Without COPY_SRC.
    let format = TextureFormat::Bgra8Unorm;
    let texture_id = world.gpu.texture(world.device, format, size(8, 8), TextureUsages::RENDER_ATTACHMENT);
    let configuration = world.configuration(size(8, 8));
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 3);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::Refused(_))));
    assert_eq!(world.shown(), GREEN);

    // Of another device.
    let other = world.gpu.device();
    let bytes = RED.repeat(64);
    let texture_id = world.gpu.texture_with(other, format, size(8, 8), &bytes);
    let _ = world.present(PendingTexture { texture_id, encoder_ids: None, configuration }, 4);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::WrongDevice)));
    assert_eq!(world.shown(), GREEN);

    // Destroyed before.
    let destroyed = world.solid(RED, size(8, 8));
    world.gpu.global.texture_destroy(destroyed.texture_id);
    let _ = world.present(destroyed, 5);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureDestroyed)));
    assert_eq!((world.shown(), world.read()), (CLEAR, CLEAR));

    let good = world.solid(GREEN, size(8, 8));
    world.present_and_wait(good, 6);

    // An error texture.
    let invalid = world.gpu.invalid_texture(world.device);
    let _ = world.present(PendingTexture { texture_id: invalid, encoder_ids: None, configuration }, 7);
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureInvalid)));
    assert_eq!((world.shown(), world.read()), (CLEAR, CLEAR));
    let epochs: Vec<_> = world.sink.0.lock().unwrap().iter().filter_map(|offer| offer.2).collect();
    assert_eq!(epochs, [1, 2, 3, 4, 5, 6, 7], "each is acknowledged, in order");
    world.finish();
}

// R15 in a batch, on real parts.
#[rstest]
fn a_bad_texture_hurts_no_neighbour(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let contexts: Vec<_> = (100..110).map(ContextId).collect();
    for context in &contexts {
        let descriptor =
            ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids: BufferIds::Allocated };
        world.presenter.create_context(*context, descriptor).unwrap();
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
        let outcome = world.outcomes.recv_timeout(TIMEOUT).unwrap();
        let failed = matches!(outcome.end, PresentEnd::Failed(PresentError::TextureDestroyed));
        assert!(if outcome.context == contexts[3] {
            failed
        } else {
            matches!(outcome.end, PresentEnd::Presented)
        });
    }
    world.finish();
}

// D16 and R14: devices come and go.
#[rstest]
fn a_flood_of_devices_leaves_nothing_behind(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    for round in 0..30 {
        let device = world.gpu.device();
        let previous = std::mem::replace(&mut world.device, device);
        let texture = world.solid([round, 0, 0, 255], size(64, 64));
        world.present(texture, u64::from(round)).unwrap();
        if round % 2 == 0 {
            world.presenter.destroy_device(previous.id);
        }
        world.presenter.drop_device(previous.id);
        world.gpu.global.queue_drop(previous.queue);
    }
    for _ in 0..30 {
        world.end();
    }
    assert_eq!((world.shown(), world.read()), ([29, 0, 0, 255], [29, 0, 0, 255]));
    let deadline = Instant::now() + TIMEOUT;
    while threads() > 40 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(threads() <= 40, "{} threads", threads());
    let hub = world.gpu.global.generate_report();
    assert_eq!(hub.hub_report().devices.num_kept_from_user, 1);
    world.finish();
}
