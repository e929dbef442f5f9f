//! A device goes in every way at every moment.

use std::collections::HashMap;
use std::mem;

use self::Moment::*;
use self::Way::*;
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
    /// The frame has arrived.
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
        Destroyed => world.presenter.destroy_device(device.id),
        DestroyedBehindOurBack => {
            world.gpu.global.device_destroy(device.id);
            world.gpu.global.device_poll(device.id, wgpu_types::PollType::Poll).unwrap();
        }
        Dropped => {
            world.presenter.drop_device(device.id);
            world.gpu.global.queue_drop(device.queue);
        }
    }
}

fn ids(index: u32) -> EncoderIds {
    EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    }
}

#[rstest]
fn a_device_goes_in_every_way_at_every_moment(
    #[values(Owned, Portable, Gl)] setup: Setup,
    #[values(Destroyed, DestroyedBehindOurBack, Dropped)] way: Way,
    #[values(BeforeSubmit, InFlight, Mapped, Locked, Read, Captured)] moment: Moment,
) {
    let Some(mut world) = World::new(setup) else { return };
    let buffers: Vec<_> = (0..5).map(|index| BufferId::zip(index, 1)).collect();
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Provided(buffers.clone()));
    let big = size(1024, 512);
    let with_ids = |texture, index| PendingTexture { encoder_ids: Some(ids(index)), ..texture };
    let green = world.solid(GREEN, big);
    world.present_and_wait(with_ids(green, 0), 1);
    let offer = world.offer();
    let red = with_ids(world.solid(RED, big), 1);
    let (mut waiting, mut presents) = (None, 2);
    match moment {
        BeforeSubmit => {
            let mut batch = world.presenter.batch();
            batch.present(CONTEXT, Contents::Texture(red), CanvasEpoch(2)).unwrap();
            if way == DestroyedBehindOurBack {
                world.gpu.global.device_destroy(world.device.id);
                batch.submit();
            } else {
                // Only a batch that is forgotten lets another call come between.
                mem::forget(batch);
            }
        }
        Captured => {
            waiting = Some(world.ask_image(Some(red)));
            presents = 1;
        }
        InFlight | Mapped | Locked | Read => {
            if moment == Locked {
                assert_eq!(world.lock(offer), GREEN);
            }
            world.present_kept(red, 2).unwrap();
            if moment == Mapped {
                assert_eq!(world.read(), RED);
            }
            waiting = (moment == Read).then(|| world.ask_image(None));
        }
    }
    if (way, moment) != (DestroyedBehindOurBack, BeforeSubmit) {
        go(&mut world, way);
    }
    world.presenter.maintain();

    let arrived = (presents == 2).then(|| world.end());
    let newest = match arrived {
        Some(PresentEnd::Presented) => RED,
        // What is presented on a lost device is blank. What was in flight leaves the last good frame.
        Some(PresentEnd::Failed(PresentError::DeviceLost)) if moment == BeforeSubmit => CLEAR,
        Some(PresentEnd::Failed(PresentError::DeviceLost)) | None => GREEN,
        Some(end) => panic!("{end:?}"),
    };
    if let Some(waiting) = waiting {
        match (waiting.recv_timeout(TIMEOUT).expect("it is answered"), moment) {
            (Ok(image), _) => {
                assert_eq!(image.to_vec().unwrap()[..4], RED);
                assert!(moment == Captured || newest == RED, "the frame that was read is shown");
            }
            // A read returns the frame that it asked for, or an error.
            (Err(error), _) => {
                assert!(matches!(error, GetImageError::Texture(PresentError::DeviceLost)), "{error}");
                assert!(moment == Captured || newest == GREEN, "the frame that is shown was read");
            }
        }
    }
    assert!(world.outcomes.try_recv().is_err(), "each present ends once");
    if moment == Locked {
        assert_eq!(world.lock(offer), GREEN);
        world.unlock(offer);
        world.unlock(offer);
    }
    world.assert_shows(newest);
    assert_eq!(world.last_epoch(), Some(presents));

    // Another device takes over.
    if way != Dropped {
        world.presenter.drop_device(world.device.id);
        world.gpu.global.queue_drop(world.device.queue);
    }
    world.gpu.drop_texture(red.texture_id);
    world.device = world.gpu.device();
    let blue = world.solid(BLUE, size(3, 3));
    world.present_and_wait(with_ids(blue, 0), 3);
    world.assert_shows(BLUE);
    let returned = mem::replace(&mut world.returned, channel().1);
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
    assert_eq!(times.remove(&ReturnedId::Context(CONTEXT)), Some(2), "created twice");
    // Batches dropped two textures, which wgpu-core had given different ids.
    assert!(times.iter().all(|(id, times)| matches!(id, ReturnedId::Texture(_)) && *times == 1), "{times:?}");
    assert_eq!(times.len(), 2);
}
