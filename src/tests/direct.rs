//! Canvas textures that are drawn in images: their order, and what becomes of the images.

use euclid::default::Size2D;
use wgpu_core::resource::TextureDescriptor;
use wgpu_types as wgt;
use wgpu_types::TextureUsages;

use super::world::*;
use crate::gpu::fake;
use crate::{
    BufferIds, CanvasEpoch, Contents, ContextConfiguration, ContextId, MemoryKind, PendingTexture,
    PresentError, ReadbackReason,
};
use wgpu_core::id::TextureId;

const BLUE: [u8; 4] = [255, 0, 0, 255];

fn world() -> World {
    let world = World::new(Owned);
    world.gpu.have_images();
    world
}

/// A canvas texture of 4×2 pixels for a context, on a device.
fn canvas_for(world: &mut World, context: ContextId, device: u32, id: Option<TextureId>) -> PendingTexture {
    sized_canvas(world, context, configuration(device, size(4, 2)), id)
}

fn sized_canvas(
    world: &mut World,
    context: ContextId,
    configuration: ContextConfiguration,
    id: Option<TextureId>,
) -> PendingTexture {
    let Size2D { width, height, .. } = configuration.size;
    let descriptor = TextureDescriptor {
        label: None,
        size: wgt::Extent3d { width, height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format: configuration.format,
        usage: TextureUsages::RENDER_ATTACHMENT | TextureUsages::COPY_SRC,
        view_formats: vec![],
    };
    let (texture_id, error) = world.presenter.create_canvas_texture(context, &configuration, &descriptor, id);
    assert!(error.is_none(), "{error:?}");
    PendingTexture { texture_id, encoder_ids: None, configuration }
}

/// A canvas texture of one color.
fn canvas(world: &mut World, pixel: [u8; 4]) -> PendingTexture {
    let texture = canvas_for(world, CONTEXT, 0, None);
    world.gpu.draw(texture.texture_id, &pixel);
    texture
}

fn show(world: &mut World, pixel: [u8; 4], epoch: u64) -> u64 {
    let texture = canvas(world, pixel);
    world.show_texture(texture, epoch)
}

/// Frames without a copy, and why the last present was one.
fn counts(world: &World) -> (u64, Option<ReadbackReason>) {
    let statistics = world.presenter.statistics(CONTEXT).unwrap();
    (statistics.direct, statistics.readback)
}

fn bytes(world: &World, kind: MemoryKind) -> usize {
    let report = world.presenter.memory_report().into_iter();
    report.filter(|report| report.kind == kind).map(|report| report.bytes).sum()
}

#[test]
fn a_frame_is_where_it_was_drawn() {
    let mut world = world();
    let texture = canvas(&mut world, RED);
    assert_eq!(bytes(&world, MemoryKind::CanvasTextures), 128, "two rows of 64 bytes");
    let sequence = world.present_texture(texture, 1).unwrap();
    assert_eq!(bytes(&world, MemoryKind::InFlight), 128);
    world.finish(sequence);
    world.assert_shows(RED);
    assert_eq!((counts(&world), world.gpu.created()), ((1, None), 1));
    assert_eq!(bytes(&world, MemoryKind::Frames), 128);
    for epoch in 2..20 {
        show(&mut world, [epoch as u8; 4], epoch);
        world.assert_shows([epoch as u8; 4]);
    }
    // One is shown, one was locked before, one is drawn.
    assert!(world.gpu.created() <= 3, "{}", world.gpu.created());
}

// What is shown must not change although the page goes on drawing.
#[test]
fn the_next_texture_has_another_image() {
    let mut world = world();
    show(&mut world, RED, 1);
    let next = canvas(&mut world, GREEN);
    world.assert_shows(RED);
    world.gpu.draw(next.texture_id, &BLUE);
    world.assert_shows(RED);
    world.show_texture(next, 2);
    world.assert_shows(BLUE);
}

// The third takes the place of the second, whose image comes back once the third is done.
#[test]
fn two_are_in_flight() {
    let mut world = world();
    let sequences: Vec<_> = [RED, GREEN, BLUE]
        .into_iter()
        .map(|pixel| {
            let texture = canvas(&mut world, pixel);
            world.present_texture(texture, 1).unwrap()
        })
        .collect();
    world.gpu.finish(device(0));
    sequences.iter().for_each(|sequence| world.until_ended(*sequence));
    world.assert_presented(sequences[0]);
    world.assert_superseded(sequences[1]);
    world.assert_presented(sequences[2]);
    world.assert_shows(BLUE);
    assert_eq!((counts(&world), world.gpu.created()), ((2, None), 3));
    for epoch in 2..9 {
        show(&mut world, GREEN, epoch);
        world.assert_shows(GREEN);
    }
    assert_eq!(world.gpu.created(), 3);
}

// Four images are in use; the fifth texture is ordinary, and is copied.
#[test]
fn there_are_four_images() {
    let mut world = world();
    let textures: Vec<_> = (1..=6).map(|pixel| canvas(&mut world, [pixel; 4])).collect();
    for (texture, epoch) in textures.into_iter().zip(1..) {
        let sequence = world.present_texture(texture, epoch).unwrap();
        world.finish(sequence);
    }
    world.assert_shows([6; 4]);
    // The two oldest of six textures are not known any more when they are presented, so they are copied.
    let (direct, readback) = counts(&world);
    assert_eq!((direct, readback), (2, Some(ReadbackReason::ImagesInUse)));
}

#[test]
fn ordinary_and_direct_presents_take_turns() {
    let mut world = world();
    for epoch in 1..=10_u8 {
        if epoch % 3 == 0 {
            world.show([epoch; 4], epoch.into());
        } else {
            show(&mut world, [epoch; 4], epoch.into());
        }
        world.assert_shows([epoch; 4]);
    }
    // Images are not taken for buffers, nor the other way around.
    assert_eq!(counts(&world), (7, None));
}

// Rows of this width have no padding, so an image is as large as the buffer of a copy.
#[test]
fn nothing_is_copied_to_an_image() {
    let mut world = world();
    let size = size(64, 16);
    for epoch in 1..=10_u8 {
        let pixel = [epoch; 4];
        let texture = match epoch % 3 {
            0 => world.texture(pixel, size),
            _ => {
                let texture = sized_canvas(&mut world, CONTEXT, configuration(0, size), None);
                world.gpu.draw(texture.texture_id, &pixel);
                texture
            }
        };
        world.show_texture(texture, epoch.into());
        world.assert_shows(pixel);
    }
    assert_eq!(counts(&world), (7, None));
}

// A page ends its texture without presenting it, and goes on drawing with what it had recorded: the image must not become a frame.
#[test]
fn an_image_that_is_not_presented_is_not_used_again() {
    let mut world = world();
    let texture = canvas(&mut world, RED);
    let mut batch = world.presenter.batch();
    batch.destroy_texture(texture.texture_id);
    batch.submit();
    assert_eq!(bytes(&world, MemoryKind::CanvasTextures), 0);
    assert_eq!(bytes(&world, MemoryKind::Recycled), 0);
    show(&mut world, GREEN, 1);
    assert_eq!(world.gpu.created(), 2);
}

#[test]
fn a_present_finds_its_texture_destroyed_the_second_time() {
    let mut world = world();
    let texture = canvas(&mut world, RED);
    world.show_texture(texture, 1);
    let again = world.present_texture(texture, 2).unwrap();
    world.until_ended(again);
    assert!(matches!(world.error_of(again), PresentError::TextureDestroyed));
}

// The engine presents a canvas's texture to another canvas: it is copied, as any texture is.
#[test]
fn a_texture_of_another_canvas_is_ordinary() {
    let mut world = world();
    let other = world.create_all([50].into_iter(), PAGE)[0];
    let texture = canvas_for(&mut world, other, 0, None);
    world.gpu.draw(texture.texture_id, &RED);
    world.show_texture(texture, 1);
    world.assert_shows(RED);
    assert_eq!(counts(&world), (0, Some(ReadbackReason::OrdinaryTexture)));
}

#[test]
fn a_configuration_that_lies_is_copied() {
    let mut world = world();
    let texture = canvas(&mut world, RED);
    let configuration = configuration(0, size(2, 2));
    world.show_texture(PendingTexture { configuration, ..texture }, 1);
    assert_eq!(counts(&world), (0, Some(ReadbackReason::Configuration)));
    world.assert_shows(RED);
}

#[test]
fn a_submission_that_may_run_takes_the_image_with_it() {
    let mut world = world();
    show(&mut world, RED, 1);
    let texture = canvas(&mut world, GREEN);
    world.gpu.fail_next_submit(PresentError::DeviceLost, true);
    let sequence = world.present_texture(texture, 2).unwrap();
    world.until_ended(sequence);
    assert!(matches!(world.error_of(sequence), PresentError::DeviceLost));
    world.assert_shows(RED);
    assert_eq!(bytes(&world, MemoryKind::Recycled), 0);
}

// Two of three are good. All are tried alone after the bad one was refused with them.
#[test]
fn a_bad_texture_in_the_batch_hurts_no_direct_one() {
    let mut world = world();
    let ids = world.create_all(1..=3, PAGE);
    let textures: Vec<_> = ids.iter().map(|id| canvas_for(&mut world, *id, 0, None)).collect();
    textures.iter().for_each(|texture| world.gpu.draw(texture.texture_id, &RED));
    let bad = world.faulty(fake::Fault::Invalid);
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(bad), CanvasEpoch(1)).unwrap();
    for (id, texture) in ids.iter().zip(&textures) {
        batch.present(*id, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    for id in &ids {
        world.finish_of(*id, 1);
        assert_eq!(world.presenter.statistics(*id).unwrap().direct, 1);
    }
    assert!(matches!(world.error_of(1), PresentError::TextureInvalid));
}

// A read of the texture is queued before its present. Both are made, the copy first.
#[test]
fn a_texture_may_be_read_and_presented_in_a_batch() {
    let mut world = world();
    let texture = canvas(&mut world, RED);
    let (sender, answers) = std::sync::mpsc::channel();
    let mut batch = world.presenter.batch();
    batch.get_image(CONTEXT, Some(texture), move |image| sender.send(image).unwrap());
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    batch.destroy_texture(texture.texture_id);
    batch.drop_texture(texture.texture_id);
    batch.submit();
    world.finish(1);
    assert_eq!(first_pixel(&answers.recv_timeout(TIMEOUT).unwrap().unwrap()), RED);
    world.assert_shows(RED);
    assert_eq!(counts(&world), (1, None));
}

// The only buffer id is that of a copy in flight, so the read of the texture waits, and the texture with it.
#[test]
fn a_texture_whose_read_waits_is_copied() {
    let mut world = World::empty(Owned);
    world.gpu.have_images();
    world.create(BufferIds::Allocated);
    let waiting: Vec<_> = (0..64)
        .map(|_| {
            let texture = world.texture(GREEN, size(4, 2));
            world.get_image(Some(texture))
        })
        .collect();
    let texture = canvas(&mut world, RED);
    let read = world.get_image(Some(texture));
    let mut batch = world.presenter.batch();
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    batch.destroy_texture(texture.texture_id);
    batch.submit();
    assert_eq!(counts(&world), (0, Some(ReadbackReason::ReadsWait)));
    for _ in 0..4 {
        world.gpu.finish(device(0));
        spin_until("copies end", || world.in_flight() <= 2);
        world.presenter.maintain();
        world.gpu.finish(device(0));
    }
    assert_eq!(first_pixel(&answer(&read).unwrap()), RED);
    waiting.iter().for_each(|read| assert_eq!(first_pixel(&answer(read).unwrap()), GREEN));
    world.until_ended(1);
    assert_eq!(world.read_pixel(), RED);
}

#[rstest]
fn what_was_drawn_is_kept_when_its_device_is_destroyed(
    #[values(false, true)] is_done: bool,
    #[values(false, true)] is_dropped: bool,
) {
    let mut world = world();
    show(&mut world, RED, 1);
    let texture = canvas(&mut world, GREEN);
    world.presenter.destroy_device(device(0));
    if is_done {
        world.gpu.finish(device(0));
    }
    if is_dropped {
        world.presenter.drop_device(device(0));
    }
    let sequence = world.present_texture(texture, 2).unwrap();
    world.gpu.finish(device(0));
    world.until_ended(sequence);
    if is_dropped && !is_done {
        // The GPU was not done when the engine dropped the device, and nobody can be asked any more.
        assert!(matches!(world.error_of(sequence), PresentError::DeviceLost));
        world.assert_shows(RED);
    } else {
        world.assert_presented(sequence);
        world.assert_shows(GREEN);
    }
}

#[test]
fn what_is_drawn_on_a_destroyed_device_is_ordinary_and_blank() {
    let mut world = world();
    show(&mut world, RED, 1);
    world.presenter.destroy_device(device(0));
    let texture = canvas_for(&mut world, CONTEXT, 0, None);
    let sequence = world.present_texture(texture, 2).unwrap();
    world.until_ended(sequence);
    assert!(matches!(world.error_of(sequence), PresentError::DeviceLost));
    world.assert_shows(CLEAR);
    assert_eq!(counts(&world).1, Some(ReadbackReason::Device));
}

#[test]
fn images_go_with_their_context() {
    let mut world = world();
    show(&mut world, RED, 1);
    let drawn = canvas(&mut world, GREEN);
    let in_flight = canvas(&mut world, BLUE);
    world.present_texture(in_flight, 2).unwrap();
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.gpu.finish(device(0));
    // The texture that was not presented keeps its image, and presents to nothing.
    spin_until("the other memory is freed", || {
        world.presenter.maintain();
        world.gpu.staging_buffers() == 1
    });
    assert!(world.present_texture(drawn, 3).is_err());
    // A new context with the id knows nothing of it.
    world.create(BufferIds::Allocated);
    let sequence = world.present_texture(drawn, 4).unwrap();
    world.finish(sequence);
    assert_eq!(counts(&world), (0, Some(ReadbackReason::OrdinaryTexture)));
}

#[test]
fn trimming_frees_resting_images() {
    let mut world = world();
    for epoch in 1..5 {
        show(&mut world, RED, epoch);
        world.assert_shows(RED);
    }
    assert!(bytes(&world, MemoryKind::Recycled) > 0);
    world.presenter.trim_all();
    assert_eq!(bytes(&world, MemoryKind::Recycled), 0);
    world.assert_shows(RED);
    show(&mut world, GREEN, 5);
    world.assert_shows(GREEN);
}

#[test]
fn an_engine_may_choose_the_ids_of_textures() {
    let mut world = World::empty(Owned);
    world.gpu.have_images();
    world.create(BufferIds::Provided(vec![fake::buffer(900)]));
    world.presenter.set_image_key(CONTEXT, key(1)).unwrap();
    for epoch in 1..5_u32 {
        let id = TextureId::zip(500 + epoch, 1);
        let texture = canvas_for(&mut world, CONTEXT, 0, Some(id));
        assert_eq!(texture.texture_id, id);
        world.gpu.draw(id, &[epoch as u8; 4]);
        let texture = with_ids(texture, fake::encoder_ids(epoch));
        world.show_texture(texture, epoch.into());
        world.assert_shows([epoch as u8; 4]);
    }
    assert_eq!(counts(&world), (4, None));
}

// Without memory for an image the texture is ordinary.
#[test]
fn without_memory_the_texture_is_ordinary() {
    let mut world = world();
    world.gpu.fail_next_creations(1);
    show(&mut world, RED, 1);
    world.assert_shows(RED);
    assert_eq!(counts(&world), (0, Some(ReadbackReason::OutOfMemory)));
    show(&mut world, GREEN, 2);
    world.assert_shows(GREEN);
    assert_eq!(counts(&world), (1, None));
}
