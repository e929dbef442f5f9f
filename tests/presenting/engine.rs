//! What the engine brings and hears: ids, hubs, closures.

use super::world::*;

// R23.
#[rstest]
fn an_engine_brings_its_own_ids(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(gpu) = setup.gpu() else { return };
    let device = gpu.device();
    let map = ContextMap::default();
    let (on_id, ids) = channel();
    let options = PresenterOptions {
        on_id: Arc::new(move |id| on_id.send(id).expect("it is awaited")),
        ..setup.options()
    };
    let mut presenter = Presenter::new(gpu.global.clone(), &map, Arc::new(Sink::default()), options);
    let buffers: Vec<_> = (0..3).map(|index| BufferId::zip(index, 1)).collect();
    let descriptor = ContextDescriptor {
        owner: OwnerId(0),
        size: size(4, 2),
        buffer_ids: BufferIds::Provided(buffers.clone()),
    };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    let encoder_ids = EncoderIds {
        command_encoder: CommandEncoderId::zip(0, 1),
        command_buffer: CommandBufferId::zip(0, 1),
    };
    let size = size(20, 20);
    let usage = TextureUsages::COPY_SRC;
    let texture_id = gpu.texture(device, TextureFormat::Bgra8Unorm, size, usage);
    let configuration = ContextConfiguration {
        device_id: device.id,
        queue_id: device.queue,
        format: TextureFormat::Bgra8Unorm,
        color_space: PredefinedColorSpace::Srgb,
        alpha_mode: AlphaMode::Premultiplied,
        size,
    };
    let texture = PendingTexture { texture_id, encoder_ids: Some(encoder_ids), configuration };
    for epoch in 1..=1000 {
        presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch)).unwrap();
        // The one pair of ids serves for every frame.
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandEncoder(encoder_ids.command_encoder)));
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandBuffer(encoder_ids.command_buffer)));
    }
    let report = gpu.global.generate_report();
    let hub = report.hub_report();
    for entries in [&hub.command_encoders, &hub.command_buffers] {
        let entries = entries.num_kept_from_user + entries.num_released_from_user;
        assert!(entries <= 1, "D8: neither encoders nor command buffers pile up");
    }
    presenter.destroy_context(CONTEXT).unwrap();
    let mut returned: Vec<_> = ids.try_iter().collect();
    returned.sort_by_key(|id| format!("{id:?}"));
    assert_eq!(returned, buffers.into_iter().map(ReturnedId::Buffer).collect::<Vec<_>>());
    drop(presenter);
    gpu.drop_texture(texture_id);
    assert_no_validation_errors();
}

// R27: two hubs, one map.
#[rstest]
fn two_presenters_share_a_map(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let Some(second) = setup.gpu() else { return };
    let device = second.device();
    let map = ContextMap::default();
    let sink = Arc::new(Sink::default());
    let mut presenters = [
        Presenter::new(world.gpu.global.clone(), &map, sink.clone(), setup.options()),
        Presenter::new(second.global.clone(), &map, sink, setup.options()),
    ];
    let mut images = [ExternalImages::new(&map), ExternalImages::new(&map), ExternalImages::new(&map)];
    let descriptor =
        || ContextDescriptor { owner: OwnerId(0), size: size(1, 1), buffer_ids: BufferIds::Allocated };
    for (index, (gpu, device, pixel)) in
        [(&world.gpu, world.device, RED), (&second, device, GREEN)].into_iter().enumerate()
    {
        let context = ContextId(index as u64);
        presenters[index].create_context(context, descriptor()).unwrap();
        let size = size(30, 30);
        let texture_id = gpu.texture_with(device, TextureFormat::Bgra8Unorm, size, &pixel.repeat(900));
        let configuration = ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            ..world.configuration(size)
        };
        let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
        presenters[index].present(context, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        let (sender, receiver) = channel();
        presenters[index].get_image(context, None, move |answer| drop(sender.send(answer)));
        let image = receiver.recv_timeout(TIMEOUT).unwrap().unwrap();
        assert_eq!(image.to_vec(), pixel.repeat(900));
        for handler in &mut images {
            let ExternalImageSource::RawData(bytes) = handler.lock(context.into(), None) else { panic!() };
            assert_eq!(bytes[..4], pixel);
        }
        gpu.drop_texture(texture_id);
    }
    let [first, second] = presenters;
    drop(first);
    for handler in &mut images {
        assert!(
            matches!(handler.lock(ContextId(0).into(), None), ExternalImageSource::RawData(_)),
            "locked before"
        );
        handler.unlock(ContextId(0).into());
        handler.unlock(ContextId(0).into());
        assert!(matches!(handler.lock(ContextId(0).into(), None), ExternalImageSource::Invalid));
        assert!(
            matches!(handler.lock(ContextId(1).into(), None), ExternalImageSource::RawData(_)),
            "not concerned"
        );
    }
    drop(second);
    world.presenter.maintain();
    world.finish();
}

// The engine's own closures run on the poller, and one that panics ends nothing.
#[rstest]
fn the_poller_runs_the_engines_closures(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let poller = world.presenter.poller().clone();
    let texture = world.solid(RED, size(64, 64));
    let wait = |world: &World, panics: bool| {
        let (sender, receiver) = channel();
        let index = world.gpu.global.queue_on_submitted_work_done(
            world.device.queue,
            Box::new(move || {
                sender.send(std::thread::current().id()).unwrap();
                assert!(!panics, "on purpose");
            }),
        );
        poller.wait_for(world.device.id, index);
        receiver.recv_timeout(TIMEOUT).expect("the closure runs")
    };
    assert_ne!(wait(&world, true), std::thread::current().id());
    assert_ne!(wait(&world, false), std::thread::current().id());
    world.present_and_wait(texture, 1);
    assert_eq!(world.shown(), RED);
    world.finish();
}

// wgpu-core runs closures in `queue_submit` too, on this thread.
#[rstest]
fn a_closure_that_panics_in_a_submit_fails_one_present_at_most(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let green = world.solid(GREEN, size(8, 8));
    world.present_and_wait(green, 1);
    let red = world.solid(RED, size(8, 8));
    let (sender, ran) = channel();
    world.gpu.global.queue_on_submitted_work_done(
        world.device.queue,
        Box::new(move || {
            sender.send(()).unwrap();
            panic!("on purpose");
        }),
    );
    // A submit or a poll runs it, whichever is first once the GPU is idle.
    std::thread::sleep(Duration::from_millis(50));
    world.present(red, 2).unwrap();
    let shown = match world.end() {
        PresentEnd::Presented => RED,
        PresentEnd::Failed(PresentError::DeviceLost) => GREEN,
        end => panic!("{end:?}"),
    };
    assert_eq!((world.shown(), world.read()), (shown, shown));
    let green = world.solid(GREEN, size(8, 8));
    world.present_and_wait(green, 3);
    ran.recv_timeout(TIMEOUT).expect("the closure runs");
    assert_eq!(world.shown(), GREEN);
    world.finish();
}

// The backend without a driver copies no textures, but its buffers are mapped and freed as any others.
#[rstest]
fn the_backend_without_a_driver_is_presented_too(#[values(Owned, Portable, Gl)] setup: Setup) {
    let gpu = Gpu::noop();
    let device = gpu.device();
    let map = ContextMap::default();
    let sink = Arc::new(Sink::default());
    let (on_outcome, outcomes) = channel();
    let options = PresenterOptions {
        on_outcome: Arc::new(move |outcome| drop(on_outcome.send(outcome))),
        ..setup.options()
    };
    let mut presenter = Presenter::new(gpu.global.clone(), &map, sink.clone(), options);
    let descriptor =
        ContextDescriptor { owner: OwnerId(0), size: size(4, 2), buffer_ids: BufferIds::Allocated };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
    let format = TextureFormat::Bgra8Unorm;
    let texture_id = gpu.texture(device, format, size(4, 2), TextureUsages::COPY_SRC);
    let configuration = ContextConfiguration {
        device_id: device.id,
        queue_id: device.queue,
        format,
        color_space: PredefinedColorSpace::Srgb,
        alpha_mode: AlphaMode::Premultiplied,
        size: size(4, 2),
    };
    let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
    presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(7)).unwrap();
    let end = outcomes.recv_timeout(TIMEOUT).unwrap().end;
    assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    assert_eq!(sink.0.lock().unwrap().last().unwrap().2, Some(7));
    assert_eq!(presenter.statistics(CONTEXT).unwrap().frame_memory, Some(FrameMemoryKind::Portable));
    let (sender, receiver) = channel();
    presenter.get_image(CONTEXT, Some(texture), move |answer| sender.send(answer).expect("it is awaited"));
    assert_eq!(receiver.recv_timeout(TIMEOUT).unwrap().unwrap().size(), size(4, 2));
    let (sender, receiver) = channel();
    let closure = Box::new(move || sender.send(()).expect("it is awaited"));
    let index = gpu.global.queue_on_submitted_work_done(device.queue, closure);
    presenter.poller().wait_for(device.id, index);
    receiver.recv_timeout(TIMEOUT).expect("the closure runs");
    presenter.drop_device(device.id);
    drop(presenter);
    assert!(gpu.global.generate_report().hub_report().buffers.is_empty());
}

// A script that waits for a destroyed device is answered, in the maintenance that the poller asks for.
#[rstest]
fn closures_of_a_destroyed_device_run(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(gpu) = setup.gpu() else { return };
    let device = gpu.device();
    let (sender, wakes) = channel();
    let options = PresenterOptions {
        wake: Arc::new(move || sender.send(()).expect("it is awaited")),
        ..setup.options()
    };
    let sink = Arc::new(Sink::default());
    let mut presenter = Presenter::new(gpu.global.clone(), &ContextMap::default(), sink, options);
    presenter.destroy_device(device.id);
    presenter.maintain();
    let (sender, receiver) = channel();
    let closure = Box::new(move || sender.send(()).expect("it is awaited"));
    let index = gpu.global.queue_on_submitted_work_done(device.queue, closure);
    presenter.poller().wait_for(device.id, index);
    while receiver.try_recv().is_err() {
        wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
        presenter.maintain();
    }
    presenter.drop_device(device.id);
    assert_no_validation_errors();
}

// Dropping a presenter ends its threads within a bound, whatever is in flight.
#[rstest]
fn a_presenter_goes_in_bounded_time(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for epoch in 0..20 {
        let texture = world.solid(RED, size(2048, 1024));
        world.present(texture, epoch).unwrap();
    }
    let start = Instant::now();
    world.finish();
    assert!(start.elapsed() < Duration::from_secs(5));
}
