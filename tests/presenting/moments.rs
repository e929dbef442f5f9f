//! The device goes, in every way and at every moment: R14, R19, R23.

use std::collections::HashMap;

use super::world::*;

const BLUE: [u8; 4] = [255, 0, 0, 255];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Destroyed,
    DestroyedBehindOurBack,
    Dropped,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// The present is in a batch.
    BeforeSubmit,
    InFlight,
    /// Its frame is there.
    Mapped,
    /// A renderer reads the frame before.
    Locked,
    /// A `get_image` waits for what is in flight.
    Read,
    /// A `get_image` copies a texture.
    Captured,
}

fn go(world: &mut World, way: Way) {
    let device = world.device;
    match way {
        Way::Destroyed => world.presenter.destroy_device(device.id),
        Way::DestroyedBehindOurBack => behind_our_back(world),
        Way::Dropped => {
            world.presenter.drop_device(device.id);
            world.gpu.global.queue_drop(device.queue);
        }
    }
}

fn behind_our_back(world: &World) {
    world.gpu.global.device_destroy(world.device.id);
    world.gpu.global.device_poll(world.device.id, wgpu_types::PollType::Poll).unwrap();
}

fn ids(index: u32) -> EncoderIds {
    EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    }
}

fn check(setup: Setup, way: Way, moment: Moment) {
    let Some(mut world) = World::new(setup) else { return };
    let buffers: Vec<_> = (0..5).map(|index| BufferId::zip(index, 1)).collect();
    world.presenter.destroy_context(CONTEXT).unwrap();
    let descriptor = ContextDescriptor {
        owner: OwnerId(0),
        size: size(4, 2),
        buffer_ids: BufferIds::Provided(buffers.clone()),
    };
    world.presenter.create_context(CONTEXT, descriptor).unwrap();
    world.presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 2)).unwrap();
    let big = size(1024, 512);
    let with_ids = |texture, index| PendingTexture { encoder_ids: Some(ids(index)), ..texture };
    let green = world.solid(GREEN, big);
    world.present_and_wait(with_ids(green, 0), 1);
    let (descriptor, generation) = world.offer();
    let red = world.solid(RED, big);
    let red = with_ids(red, 1);
    let (mut waiting, mut presents) = (None, 2);
    match moment {
        Moment::BeforeSubmit if way == Way::DestroyedBehindOurBack => {
            let mut batch = world.presenter.batch();
            batch.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
            world.gpu.global.device_destroy(world.device.id);
            batch.submit();
        }
        Moment::BeforeSubmit => {
            let mut batch = world.presenter.batch();
            batch.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
            // Nothing can come between, but a batch that is forgotten.
            std::mem::forget(batch);
        }
        Moment::InFlight => drop(world.presenter.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2))),
        Moment::Mapped => {
            world.presenter.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
            assert_eq!(world.read(), RED);
        }
        Moment::Locked => {
            let bytes = world.images.lock(CONTEXT.into(), Some(generation));
            assert_eq!(uniform(bytes, &descriptor), GREEN);
            world.presenter.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
        }
        Moment::Read => {
            world.presenter.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
            waiting = Some(world.ask_image(None));
        }
        Moment::Captured => {
            waiting = Some(world.ask_image(Some(red)));
            presents = 1;
        }
    }
    if (way, moment) != (Way::DestroyedBehindOurBack, Moment::BeforeSubmit) {
        go(&mut world, way);
    }
    world.presenter.maintain();

    let arrived = (presents == 2).then(|| world.end());
    let newest = match arrived {
        Some(PresentEnd::Presented) => RED,
        Some(PresentEnd::Failed(PresentError::DeviceLost)) | None => GREEN,
        Some(end) => panic!("{end:?}"),
    };
    if let Some(waiting) = waiting {
        match (waiting.recv_timeout(TIMEOUT).expect("it is answered"), moment) {
            (Ok(image), Moment::Captured) => assert_eq!(image.to_vec()[..4], RED),
            (Ok(image), _) => assert_eq!(image.to_vec()[..4], newest),
            (Err(error), _) => {
                assert!(matches!(error, GetImageError::Texture(PresentError::DeviceLost)), "{error}");
                assert_eq!(moment, Moment::Captured);
            }
        }
    }
    assert!(world.outcomes.try_recv().is_err(), "each present ends once");
    if moment == Moment::Locked {
        assert_eq!(uniform(world.images.lock(CONTEXT.into(), Some(generation)), &descriptor), GREEN);
        world.images.unlock(CONTEXT.into());
        world.images.unlock(CONTEXT.into());
    }
    assert_eq!((world.shown(), world.read()), (newest, newest));
    assert_eq!(world.sink.0.lock().unwrap().last().unwrap().2, Some(presents));

    // Another device takes over.
    if way != Way::Dropped {
        world.presenter.drop_device(world.device.id);
        world.gpu.global.queue_drop(world.device.queue);
    }
    world.gpu.drop_texture(red.texture_id);
    world.device = world.gpu.device();
    let blue = world.solid(BLUE, size(3, 3));
    world.present_and_wait(with_ids(blue, 0), 3);
    assert_eq!((world.shown(), world.read()), (BLUE, BLUE));
    let returned = std::mem::replace(&mut world.returned, channel().1);
    world.finish();
    let mut times: HashMap<ReturnedId, usize> = HashMap::new();
    returned.iter().for_each(|id| *times.entry(id).or_default() += 1);
    for buffer in buffers {
        assert_eq!(times.remove(&ReturnedId::Buffer(buffer)), Some(1), "{buffer:?}");
    }
    // The pair 0 was handed in twice.
    for (index, handed_in) in [(0, 2), (1, 1)] {
        let EncoderIds { command_encoder, command_buffer } = ids(index);
        assert_eq!(times.remove(&ReturnedId::CommandEncoder(command_encoder)), Some(handed_in));
        assert_eq!(times.remove(&ReturnedId::CommandBuffer(command_buffer)), Some(handed_in));
    }
    assert!(times.is_empty(), "{times:?}");
}

#[rstest]
fn a_device_goes_in_every_way_at_every_moment(#[values(Owned, Portable, Gl)] setup: Setup) {
    use Moment::{BeforeSubmit, Captured, InFlight, Locked, Mapped, Read};
    for way in [Way::Destroyed, Way::DestroyedBehindOurBack, Way::Dropped] {
        for moment in [BeforeSubmit, InFlight, Mapped, Locked, Read, Captured] {
            println!("{way:?} {moment:?}");
            check(setup, way, moment);
        }
    }
}
