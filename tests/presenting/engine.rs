//! What an engine brings and hears: ids, hubs, closures.

use super::world::*;

/// Asks wgpu-core to call a closure when everything submitted so far is done. Returns what the closure is waited for by, and the
/// thread that it runs on.
fn closure(gpu: &Gpu, device: Device, panics: bool) -> (u64, Receiver<std::thread::ThreadId>) {
    let (sender, ran_on) = channel();
    let closure = move || {
        sender.send(std::thread::current().id()).unwrap();
        assert!(!panics, "on purpose");
    };
    (gpu.global.queue_on_submitted_work_done(device.queue, Box::new(closure)), ran_on)
}

#[rstest]
fn an_engine_brings_its_own_ids(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(gpu) = setup.gpu() else { return };
    let device = gpu.device();
    let map = ContextMap::default();
    let (on_id, ids) = channel();
    let options = PresenterOptions {
        on_id: Box::new(move |id| on_id.send(id).expect("it is awaited")),
        ..setup.options()
    };
    // SAFETY: only the presenter names its staging buffers.
    let mut presenter = unsafe { Presenter::new(gpu.global.clone(), &map, Sink::default(), options) };
    let buffers: Vec<_> = (0..3).map(|index| BufferId::zip(index, 1)).collect();
    let descriptor = ContextDescriptor { buffer_ids: BufferIds::Provided(buffers.clone()), ..descriptor() };
    presenter.create_context(CONTEXT, descriptor).unwrap();
    let encoder_ids = EncoderIds {
        command_encoder: CommandEncoderId::zip(0, 1),
        command_buffer: CommandBufferId::zip(0, 1),
    };
    let configuration = device.configuration(size(20, 20));
    let texture_id = gpu.texture(device, configuration.format, configuration.size, TextureUsages::COPY_SRC);
    let texture = PendingTexture { texture_id, encoder_ids: Some(encoder_ids), configuration };
    for epoch in 1..=1000 {
        presenter.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(epoch)).unwrap();
        // One pair of ids serves every frame.
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandEncoder(encoder_ids.command_encoder)));
        assert_eq!(ids.recv_timeout(TIMEOUT), Ok(ReturnedId::CommandBuffer(encoder_ids.command_buffer)));
    }
    let report = gpu.global.generate_report();
    let hub = report.hub_report();
    for entries in [&hub.command_encoders, &hub.command_buffers] {
        let entries = entries.num_kept_from_user + entries.num_released_from_user;
        assert!(entries <= 1, "neither encoders nor command buffers pile up in the hub");
    }
    presenter.destroy_context(CONTEXT).unwrap();
    let mut returned: Vec<_> = ids.try_iter().collect();
    returned.sort_by_key(|id| format!("{id:?}"));
    let expected = buffers.into_iter().map(ReturnedId::Buffer).chain([ReturnedId::Context(CONTEXT)]);
    assert_eq!(returned, expected.collect::<Vec<_>>());
    drop(presenter);
    gpu.drop_texture(texture_id);
    assert_no_validation_errors();
}

// Two content processes have hubs of their own in one compositor process.
#[rstest]
fn two_presenters_share_a_map(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let Some(second) = setup.gpu() else { return };
    let device = second.device();
    let map = ContextMap::default();
    let sink = Sink::default();
    let mut presenters = [&world.gpu, &second].map(|gpu| {
        // SAFETY: only the presenter names its staging buffers.
        unsafe { Presenter::new(gpu.global.clone(), &map, sink.clone(), setup.options()) }
    });
    let mut images = [(); 3].map(|()| ExternalImages::new(&map));
    for (index, (gpu, device, pixel)) in
        [(&world.gpu, world.device, RED), (&second, device, GREEN)].into_iter().enumerate()
    {
        let context = ContextId(index as u64);
        presenters[index].create_context(context, descriptor()).unwrap();
        let texture = gpu.canvas(device, device.configuration(size(30, 30)), &pixel.repeat(900));
        presenters[index].present(context, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
        let image = ask_image(&mut presenters[index], context, None).recv_timeout(TIMEOUT).unwrap().unwrap();
        assert_eq!(image.to_vec().unwrap(), pixel.repeat(900));
        for handler in &mut images {
            let ExternalImageSource::RawData(bytes) = handler.lock(context.into(), None) else { panic!() };
            assert_eq!(bytes[..4], pixel);
        }
        gpu.drop_texture(texture.texture_id);
    }
    let [first, second] = presenters;
    drop(first);
    let (gone, alive) = (ContextId(0).into(), ContextId(1).into());
    for handler in &mut images {
        assert!(matches!(handler.lock(gone, None), ExternalImageSource::RawData(_)), "locked before");
        handler.unlock(gone, None);
        handler.unlock(gone, None);
        assert!(matches!(handler.lock(gone, None), ExternalImageSource::Invalid));
        assert!(matches!(handler.lock(alive, None), ExternalImageSource::RawData(_)), "not concerned");
    }
    drop(second);
    world.presenter.maintain();
    world.finish();
}

// A closure of the engine that panics must end neither the poller nor another closure.
#[rstest]
fn the_poller_runs_the_engines_closures(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let poller = world.presenter.poller().clone();
    let texture = world.solid(RED, size(64, 64));
    for panics in [true, false] {
        let (index, ran_on) = closure(&world.gpu, world.device, panics);
        poller.wait_for(world.device.id, index);
        let thread = ran_on.recv_timeout(TIMEOUT).expect("the closure runs");
        assert_ne!(thread, std::thread::current().id());
    }
    world.present_and_wait(texture, 1);
    assert_eq!(world.shown(), RED);
    world.finish();
}

// wgpu-core runs closures in `queue_submit` too, on the WebGPU thread.
#[rstest]
fn a_closure_that_panics_in_a_submit_fails_one_present_at_most(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    world.show(GREEN, size(8, 8), 1);
    let red = world.solid(RED, size(8, 8));
    let (_, ran) = closure(&world.gpu, world.device, true);
    // A submit or a poll runs the closure, whichever comes first once the GPU is idle.
    std::thread::sleep(Duration::from_millis(50));
    world.present(red, 2).unwrap();
    let shown = match world.end() {
        PresentEnd::Presented => RED,
        PresentEnd::Failed(PresentError::Panicked) => GREEN,
        end => panic!("{end:?}"),
    };
    world.assert_shows(shown);
    world.show(GREEN, size(8, 8), 3);
    ran.recv_timeout(TIMEOUT).expect("the closure runs");
    assert_eq!(world.shown(), GREEN);
    world.finish();
}

// wgpu-core's backend without a driver copies no textures, but maps and frees buffers as any other one.
#[rstest]
fn the_backend_without_a_driver_is_presented_too(#[values(Owned, Portable)] setup: Setup) {
    let mut world = World::on(Gpu::noop(), setup.options());
    let configuration = world.configuration(size(4, 2));
    let texture_id =
        world.gpu.texture(world.device, configuration.format, configuration.size, TextureUsages::COPY_SRC);
    let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
    world.present_kept(texture, 7).unwrap();
    let end = world.end();
    assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    assert_eq!(world.last_epoch(), Some(7));
    let statistics = world.presenter.statistics(CONTEXT).unwrap();
    assert_eq!(statistics.frame_memory, Some(FrameMemoryKind::Portable));
    assert_eq!(world.get_image(Some(texture)).unwrap().size(), size(4, 2));
    let World { gpu, device, mut presenter, .. } = world;
    let (index, ran) = closure(&gpu, device, false);
    presenter.poller().wait_for(device.id, index);
    ran.recv_timeout(TIMEOUT).expect("the closure runs");
    presenter.drop_device(device.id);
    drop(presenter);
    assert!(gpu.global.generate_report().hub_report().buffers.is_empty());
}

// An engine has the queue at hand, not its device.
#[rstest]
fn closures_run_that_wait_for_a_queue(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(world) = World::new(setup) else { return };
    let World { gpu, device, mut presenter, .. } = world;
    presenter.add_device(device.id, device.queue);
    let (index, ran) = closure(&gpu, device, false);
    presenter.poller().wait_for_queue(device.queue, index).unwrap();
    let ran_on = ran.recv_timeout(TIMEOUT).expect("the closure runs");
    assert_ne!(ran_on, std::thread::current().id());
    presenter.drop_device(device.id);
    assert!(presenter.poller().wait_for_queue(device.queue, index).is_err());
    assert_no_validation_errors();
}

// An engine that names its submissions needs to wake no poller when it drops what they used.
#[rstest]
fn what_finished_work_used_is_freed_without_a_wake(#[values(Owned, Portable)] setup: Setup) {
    let Some(world) = World::new(setup) else { return };
    let World { gpu, device, presenter, .. } = world;
    let Some(report) = gpu.global.device_generate_allocator_report(device.id) else { return };
    let before = report.total_allocated_bytes;
    let allocated = || {
        let report = gpu.global.device_generate_allocator_report(device.id).expect("it was there");
        report.total_allocated_bytes
    };
    let large = size(1024, 1024);
    let textures: Vec<_> = (0..8)
        .map(|_| gpu.canvas(device, device.configuration(large), &RED.repeat(1024 * 1024)).texture_id)
        .collect();
    let until_freed = |what: &str| {
        let began = Instant::now();
        while allocated() > before + (1 << 20) {
            assert!(began.elapsed() < TIMEOUT, "{what}: {} bytes are kept", allocated() - before);
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // Dropped while the work that uses them is in flight, and dropped when it is over.
    let (in_flight, over) = textures.split_at(4);
    let (index, ran) = closure(&gpu, device, false);
    in_flight.iter().for_each(|texture| gpu.drop_texture(*texture));
    presenter.poller().wait_for(device.id, index);
    ran.recv_timeout(TIMEOUT).expect("the closure runs");
    over.iter().for_each(|texture| gpu.drop_texture(*texture));
    until_freed("without a call");
    assert_no_validation_errors();
}

// Script that waits for a destroyed device is answered in the maintenance that the poller asks for.
#[rstest]
fn closures_of_a_destroyed_device_run(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(gpu) = setup.gpu() else { return };
    let (sender, wakes) = channel();
    let wake = Arc::new(move || sender.send(()).expect("it is awaited"));
    let World { gpu, device, mut presenter, .. } =
        World::on(gpu, PresenterOptions { wake, ..setup.options() });
    presenter.destroy_device(device.id);
    presenter.maintain();
    let (index, ran) = closure(&gpu, device, false);
    presenter.poller().wait_for(device.id, index);
    while ran.try_recv().is_err() {
        wakes.recv_timeout(TIMEOUT).expect("maintenance is asked for");
        presenter.maintain();
    }
    presenter.drop_device(device.id);
    assert_no_validation_errors();
}

// The drop of a presenter ends its threads, whatever is in flight.
#[rstest]
fn a_presenter_goes_in_bounded_time(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for epoch in 0..20 {
        world.present_solid(RED, size(2048, 1024), epoch);
    }
    let start = Instant::now();
    world.finish();
    assert!(start.elapsed() < Duration::from_secs(5));
}
