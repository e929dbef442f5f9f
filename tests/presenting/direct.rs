//! Canvas textures that are drawn where frames are read.

use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::id::{CommandEncoderId, TextureId};
use wgpu_core::resource::{TextureDescriptor, TextureViewDescriptor};
use wgpu_types as wgt;
use wgpu_types::{LoadOp, StoreOp};

use crate::support::gpu::extent;
use crate::world::*;

const USAGE: TextureUsages = TextureUsages::COPY_SRC
    .union(TextureUsages::COPY_DST)
    .union(TextureUsages::TEXTURE_BINDING)
    .union(TextureUsages::RENDER_ATTACHMENT);

fn texture_descriptor(configuration: &ContextConfiguration) -> TextureDescriptor<'static> {
    TextureDescriptor {
        label: None,
        size: extent(configuration.size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgt::TextureDimension::D2,
        format: configuration.format,
        usage: USAGE,
        view_formats: vec![],
    }
}

/// A canvas texture into which nothing was drawn.
fn empty_canvas(world: &mut World, configuration: ContextConfiguration) -> PendingTexture {
    canvas_texture(&mut world.presenter, configuration)
}

/// A canvas texture that a presenter makes.
pub fn canvas_texture(presenter: &mut Presenter, configuration: ContextConfiguration) -> PendingTexture {
    let descriptor = texture_descriptor(&configuration);
    let (texture_id, error) = presenter.create_canvas_texture(CONTEXT, &configuration, &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    PendingTexture { texture_id, encoder_ids: None, configuration }
}

/// A canvas texture of one color, which is written and not drawn.
fn written_canvas(world: &mut World, configuration: ContextConfiguration, pixel: &[u8]) -> PendingTexture {
    let texture = empty_canvas(world, configuration);
    let bytes = pixel.repeat(configuration.size.area() as usize);
    world.gpu.write(world.device, texture.texture_id, configuration.size, &bytes);
    texture
}

/// What a page does with the whole texture in one render pass.
struct Pass {
    load_op: LoadOp<wgt::Color>,
    store_op: StoreOp,
}

const CLEAR_TO_RED: LoadOp<wgt::Color> = LoadOp::Clear(wgt::Color::RED);

/// Records render passes as an engine does that heeds what `create_canvas_texture` asks for.
fn record_passes(world: &World, encoder: CommandEncoderId, texture: &PendingTexture, passes: &[Pass]) {
    let global = &world.gpu.global;
    let (view, error) =
        global.texture_create_view(texture.texture_id, &TextureViewDescriptor::default(), None);
    assert!(error.is_none(), "{error:?}");
    for Pass { load_op, store_op } in passes {
        let attachment = RenderPassColorAttachment {
            view,
            depth_slice: None,
            resolve_target: None,
            load_op: *load_op,
            store_op: *store_op,
        };
        let attachments = [Some(attachment)];
        let mut descriptor =
            RenderPassDescriptor { color_attachments: attachments[..].into(), ..Default::default() };
        let discarded = DiscardedAttachments::keep(&mut descriptor);
        let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.render_pass_end(&mut pass).unwrap();
        discarded.clear(global, encoder);
    }
    global.texture_view_drop(view);
}

fn draw(world: &World, texture: &PendingTexture, passes: &[Pass]) {
    world.gpu.submit(world.device, |encoder| record_passes(world, encoder, texture, passes));
}

fn red_canvas(world: &mut World, configuration: ContextConfiguration) -> PendingTexture {
    let texture = empty_canvas(world, configuration);
    draw(world, &texture, &[Pass { load_op: CLEAR_TO_RED, store_op: StoreOp::Store }]);
    texture
}

#[track_caller]
fn assert_counts(world: &World, direct: u64, readback: Option<ReadbackReason>) {
    let statistics = world.presenter.statistics(CONTEXT).unwrap();
    assert_eq!((statistics.direct, statistics.readback), (direct, readback));
}

// Odd widths, so that rows have padding; a texture that shares a memory object and one that has its own.
#[rstest]
fn what_is_drawn_is_shown_and_read_without_a_copy(
    #[values((1, 1), (4, 2), (301, 77), (1025, 1100))] sides: (u32, u32),
    #[values(TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm)] format: TextureFormat,
) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = ContextConfiguration { format, ..world.configuration(size(sides.0, sides.1)) };
    for epoch in 1..=6 {
        let texture = red_canvas(&mut world, configuration);
        world.present_and_wait(texture, epoch);
        let straight = world.get_image(None).unwrap().to_straight_rgba().unwrap();
        assert_eq!(straight, [255, 0, 0, 255].repeat(configuration.size.area() as usize));
        // WebRender is told of the byte order; a single pixel is always BGRA.
        let red = if format == TextureFormat::Rgba8Unorm && sides != (1, 1) { [255, 0, 0, 255] } else { RED };
        assert_eq!(world.shown(), red);
        assert_counts(&world, epoch, None);
    }
    world.finish();
}

#[test]
fn what_the_queue_writes_is_shown_without_a_submission() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let texture = written_canvas(&mut world, configuration, &GREEN);
    world.present_and_wait(texture, 1);
    world.assert_shows(GREEN);
    assert_counts(&world, 1, None);
    world.finish();
}

// 102 is 40 %: what script left in the alpha channel must not be seen.
#[test]
fn an_opaque_canvas_is_opaque() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration =
        ContextConfiguration { alpha_mode: AlphaMode::Opaque, ..world.configuration(size(33, 5)) };
    let texture = written_canvas(&mut world, configuration, &[1, 2, 102, 102]);
    world.present_and_wait(texture, 1);
    world.assert_shows([1, 2, 102, 255]);
    assert_counts(&world, 1, None);
    world.finish();
}

// Half floats 1.0, 0.5, 0 and 1.0. Script reads them as they are, WebRender gets 8 bits.
#[test]
fn half_floats_are_converted_from_where_they_lie() {
    let Some(mut world) = World::new(Owned) else { return };
    let format = TextureFormat::Rgba16Float;
    let configuration = ContextConfiguration { format, ..world.configuration(size(33, 5)) };
    let halves = [0x00, 0x3c, 0x00, 0x38, 0, 0, 0x00, 0x3c];
    let texture = written_canvas(&mut world, configuration, &halves);
    world.present_and_wait(texture, 1);
    assert_eq!(world.shown(), [0, 128, 255, 255]);
    assert_eq!(world.get_image(None).unwrap().to_vec().unwrap(), halves.repeat(33 * 5));
    assert_counts(&world, 1, None);
    world.finish();
}

// The image of an earlier frame is used again. What the page sees of it is transparent black.
#[test]
fn every_texture_begins_cleared() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    for epoch in 1..=8 {
        let texture = empty_canvas(&mut world, configuration);
        let read = world.get_image(Some(texture)).unwrap().to_vec().unwrap();
        assert!(read.iter().all(|byte| *byte == 0), "frame {epoch}");
        draw(&world, &texture, &[Pass { load_op: LoadOp::Load, store_op: StoreOp::Store }]);
        let read = world.get_image(Some(texture)).unwrap().to_vec().unwrap();
        assert!(read.iter().all(|byte| *byte == 0), "frame {epoch}, after it was loaded");
        draw(&world, &texture, &[Pass { load_op: CLEAR_TO_RED, store_op: StoreOp::Store }]);
        world.present_and_wait(texture, epoch);
        world.assert_shows(RED);
        assert_counts(&world, epoch, None);
    }
    world.finish();
}

// Without `DiscardedAttachments` each of these panics in wgpu-core.
#[rstest]
#[case::shown(&[(CLEAR_TO_RED, StoreOp::Discard)], CLEAR)]
#[case::loaded(&[(CLEAR_TO_RED, StoreOp::Discard), (LoadOp::Load, StoreOp::Store)], CLEAR)]
#[case::cleared_again(&[(CLEAR_TO_RED, StoreOp::Discard), (CLEAR_TO_RED, StoreOp::Store)], RED)]
#[case::twice(&[(LoadOp::Load, StoreOp::Discard), (LoadOp::Load, StoreOp::Discard)], CLEAR)]
fn what_is_discarded_is_cleared(
    #[case] passes: &[(LoadOp<wgt::Color>, StoreOp)],
    #[case] expected: [u8; 4],
    #[values(false, true)] in_one_encoder: bool,
) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let texture = empty_canvas(&mut world, configuration);
    let passes: Vec<_> =
        passes.iter().map(|(load_op, store_op)| Pass { load_op: *load_op, store_op: *store_op }).collect();
    for passes in passes.chunks(if in_one_encoder { 2 } else { 1 }) {
        draw(&world, &texture, passes);
    }
    let read = world.get_image(Some(texture)).unwrap().to_vec().unwrap();
    assert_eq!(read, expected.repeat(33 * 5));
    world.present_and_wait(texture, 1);
    world.assert_shows(expected);
    assert_counts(&world, 1, None);
    world.finish();
}

// A multisampled attachment that is resolved may be discarded as before.
#[test]
fn a_resolved_attachment_stays_discarded() {
    let attachment = |resolve_target| RenderPassColorAttachment {
        view: wgpu_core::id::TextureViewId::zip(0, 1),
        depth_slice: None,
        resolve_target,
        load_op: CLEAR_TO_RED,
        store_op: StoreOp::Discard,
    };
    let resolved = attachment(Some(wgpu_core::id::TextureViewId::zip(1, 1)));
    let attachments = [Some(resolved), None, Some(attachment(None))];
    let mut descriptor =
        RenderPassDescriptor { color_attachments: attachments[..].into(), ..Default::default() };
    let _ = DiscardedAttachments::keep(&mut descriptor);
    let store_ops = descriptor.color_attachments.iter().flatten().map(|attachment| attachment.store_op);
    assert_eq!(store_ops.collect::<Vec<_>>(), [StoreOp::Discard, StoreOp::Store]);
}

// wgpu-core refuses a pass that stores a transient attachment.
#[test]
fn a_transient_attachment_stays_discarded() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let texture = empty_canvas(&mut world, configuration);
    let global = world.gpu.global.clone();
    let usage = TextureUsages::RENDER_ATTACHMENT | TextureUsages::TRANSIENT_ATTACHMENT;
    let descriptor = TextureDescriptor { usage, ..texture_descriptor(&configuration) };
    let (transient, error) = global.device_create_texture(world.device.id, &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    let [canvas, scratch] = [texture.texture_id, transient].map(|texture| {
        let (view, error) = global.texture_create_view(texture, &TextureViewDescriptor::default(), None);
        assert!(error.is_none(), "{error:?}");
        view
    });
    world.gpu.submit(world.device, |encoder| {
        let attachments = [canvas, scratch].map(|view| {
            let (load_op, store_op) = (CLEAR_TO_RED, StoreOp::Discard);
            Some(RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target: None,
                load_op,
                store_op,
            })
        });
        let mut descriptor =
            RenderPassDescriptor { color_attachments: attachments[..].into(), ..Default::default() };
        let discarded = DiscardedAttachments::keep_where(&mut descriptor, |view| view == canvas);
        let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.render_pass_end(&mut pass).unwrap();
        discarded.clear(&global, encoder);
    });
    [canvas, scratch].into_iter().for_each(|view| global.texture_view_drop(view));
    global.texture_drop(transient);
    world.present_and_wait(texture, 1);
    world.assert_shows(CLEAR);
    world.finish();
}

#[test]
fn nothing_draws_in_a_frame() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let texture = red_canvas(&mut world, configuration);
    // The page has recorded commands, and keeps them back until the texture is presented.
    let global = world.gpu.global.clone();
    let (encoder, _) = global.device_create_command_encoder(world.device.id, &Default::default(), None);
    let green = LoadOp::Clear(wgt::Color::GREEN);
    record_passes(&world, encoder, &texture, &[Pass { load_op: green, store_op: StoreOp::Store }]);
    let (commands, error): (CommandBufferId, _) =
        global.command_encoder_finish(encoder, &Default::default(), None);
    assert!(error.is_none(), "{error:?}");
    world.present_kept(texture, 1).unwrap();
    let late = global.queue_submit(world.device.queue, &[commands]);
    assert!(late.is_err(), "the texture is destroyed");
    global.command_buffer_drop(commands);
    global.command_encoder_drop(encoder);
    assert!(matches!(world.end(), PresentEnd::Presented));
    world.assert_shows(RED);
    // A second present of it finds it destroyed.
    world.present(texture, 2).unwrap();
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureDestroyed)));
    assert_eq!(world.shown(), CLEAR);
    world.finish();
}

// A page destroys its devices before it presents, and goes on with others.
#[test]
fn what_was_kept_and_is_not_presented_is_freed() {
    let Some(mut world) = World::new(Owned) else { return };
    let image = 512 * 512 * 4;
    let bytes =
        |world: &World| world.presenter.memory_report().iter().map(|report| report.bytes).sum::<usize>();
    let mut textures = Vec::new();
    for _ in 0..4 {
        let configuration = world.configuration(size(512, 512));
        textures.push(red_canvas(&mut world, configuration));
        world.presenter.destroy_device(world.device.id);
        world.device = world.gpu.device();
    }
    assert_eq!(bytes(&world), 4 * image);
    let configuration = world.configuration(size(512, 512));
    for epoch in 1..=8 {
        let texture = red_canvas(&mut world, configuration);
        world.present_and_wait(texture, epoch);
        world.assert_shows(RED);
        assert!(bytes(&world) <= 3 * image, "{epoch}: {}", bytes(&world));
    }
    // The first one found no image.
    assert_counts(&world, 7, None);
    textures.iter().for_each(|texture| world.gpu.global.texture_drop(texture.texture_id));
    world.finish();
}

// The engine may know only when it presents that a canvas is opaque.
#[rstest]
fn what_was_kept_is_presented_as_the_engine_says(#[values(false, true)] is_ordinary: bool) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration =
        ContextConfiguration { format: TextureFormat::Rgba8Unorm, ..world.configuration(size(33, 5)) };
    let texture = match is_ordinary {
        false => empty_canvas(&mut world, configuration),
        true => ordinary_canvas(&mut world, configuration),
    };
    let bytes = [1, 2, 102, 102].repeat(33 * 5);
    world.gpu.write(world.device, texture.texture_id, configuration.size, &bytes);
    world.presenter.destroy_device(world.device.id);
    let configuration = ContextConfiguration { alpha_mode: AlphaMode::Opaque, ..configuration };
    world.present_and_wait(PendingTexture { configuration, ..texture }, 1);
    world.assert_shows([1, 2, 102, 255]);
    world.finish();
}

// The engine chooses ids, so there are none for the copies of ordinary textures.
#[test]
fn what_cannot_be_kept_when_its_device_is_destroyed_is_blank() {
    let Some(mut world) = World::new(Owned) else { return };
    world.presenter.destroy_context(CONTEXT).unwrap();
    world.create(BufferIds::Provided(vec![BufferId::zip(100, 1), BufferId::zip(101, 1)]));
    let configuration =
        ContextConfiguration { format: TextureFormat::Rgba8Unorm, ..world.configuration(size(33, 5)) };
    let texture = red_canvas(&mut world, configuration);
    world.present_and_wait(texture, 1);
    let texture = ordinary_canvas(&mut world, configuration);
    draw(&world, &texture, &[Pass { load_op: CLEAR_TO_RED, store_op: StoreOp::Store }]);
    world.presenter.destroy_device(world.device.id);
    world.present(texture, 2).unwrap();
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::DeviceLost)));
    world.assert_shows(CLEAR);
    world.finish();
}

// The engine calls wgpu-core itself, and the presenter is not told.
#[rstest]
fn a_texture_that_is_destroyed_before_it_is_presented_is_blank(#[values(false, true)] is_ordinary: bool) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration =
        ContextConfiguration { format: TextureFormat::Rgba8Unorm, ..world.configuration(size(33, 5)) };
    let texture = match is_ordinary {
        false => empty_canvas(&mut world, configuration),
        true => ordinary_canvas(&mut world, configuration),
    };
    draw(&world, &texture, &[Pass { load_op: CLEAR_TO_RED, store_op: StoreOp::Store }]);
    world.gpu.global.texture_destroy(texture.texture_id);
    world.present(texture, 1).unwrap();
    assert!(matches!(world.end(), PresentEnd::Failed(PresentError::TextureDestroyed)));
    assert_eq!(world.shown(), CLEAR);
    world.finish();
}

// The engine drops a texture, of which the page keeps a view, and gives its id to another one. What is presented is the other one, and
// what the page draws in the first one is never seen.
#[rstest]
fn a_dropped_texture_is_not_presented(#[values(false, true)] is_of_canvas: bool) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let descriptor = texture_descriptor(&configuration);
    let (id, other) = (TextureId::zip(7, 1), ContextId(CONTEXT.0 + 1));
    world.presenter.create_context(other, crate::world::descriptor()).unwrap();
    let (_, error) = world.presenter.create_canvas_texture(CONTEXT, &configuration, &descriptor, Some(id));
    assert!(error.is_none(), "{error:?}");
    let texture = PendingTexture { texture_id: id, encoder_ids: None, configuration };
    let global = world.gpu.global.clone();
    let (view, _) = global.texture_create_view(id, &TextureViewDescriptor::default(), None);
    global.texture_drop(id);
    let (_, error) = match is_of_canvas {
        true => world.presenter.create_canvas_texture(other, &configuration, &descriptor, Some(id)),
        false => global.device_create_texture(world.device.id, &descriptor, Some(id)),
    };
    assert!(error.is_none(), "{error:?}");
    world.gpu.write(world.device, id, configuration.size, &GREEN.repeat(33 * 5));
    world.present_kept(texture, 1).unwrap();
    assert!(matches!(world.end(), PresentEnd::Presented));
    let offer = world.offer();
    assert_eq!(world.lock(offer), GREEN);
    world.gpu.submit(world.device, |encoder| {
        let (load_op, store_op) = (CLEAR_TO_RED, StoreOp::Store);
        let attachment =
            RenderPassColorAttachment { view, depth_slice: None, resolve_target: None, load_op, store_op };
        let attachments = [Some(attachment)];
        let descriptor =
            RenderPassDescriptor { color_attachments: attachments[..].into(), ..Default::default() };
        let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.render_pass_end(&mut pass).unwrap();
    });
    global.device_poll(world.device.id, wgt::PollType::wait_indefinitely()).unwrap();
    assert_eq!(world.lock(offer), GREEN);
    (0..2).for_each(|_| world.unlock(offer));
    global.texture_view_drop(view);
    world.gpu.global.texture_drop(id);
    world.finish();
}

// The submission of the other device does not wait for what was drawn. Other copies in it keep wgpu-core from looking at the texture.
#[test]
fn held_frames_stay_as_they_are_and_further_ones_are_copied() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let mut held = Vec::new();
    for epoch in 1..=12_u8 {
        let pixel = [epoch, 2 * epoch, 3, 255];
        let texture = written_canvas(&mut world, configuration, &pixel);
        world.present_and_wait(texture, epoch.into());
        world.assert_shows(pixel);
        held.push((pixel, world.get_image(None).unwrap()));
    }
    assert_counts(&world, 4, Some(ReadbackReason::ImagesInUse));
    for (pixel, snapshot) in &held {
        assert_eq!(snapshot.to_vec().unwrap(), pixel.repeat(33 * 5));
    }
    drop(held);
    for epoch in 13..=20 {
        let texture = written_canvas(&mut world, configuration, &GREEN);
        world.present_and_wait(texture, epoch);
        world.assert_shows(GREEN);
    }
    assert_counts(&world, 12, None);
    world.finish();
}

#[test]
fn a_locked_frame_outlives_its_device_and_its_context() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let texture = red_canvas(&mut world, configuration);
    world.present_and_wait(texture, 1);
    let offer = world.offer();
    assert_eq!(world.lock(offer), RED);
    world.presenter.destroy_device(world.device.id);
    world.presenter.drop_queue(world.device.id, world.device.queue);
    world.presenter.drop_device(world.device.id);
    assert_eq!(world.lock(offer), RED);
    world.presenter.destroy_context(CONTEXT).unwrap();
    let held: Vec<u8> = match world.images.lock(CONTEXT.into(), Some(offer.1)) {
        ExternalImageSource::RawData(bytes) => bytes[..4].to_vec(),
        _ => panic!("it is locked"),
    };
    assert_eq!(held, RED);
    (0..3).for_each(|_| world.unlock(offer));
    world.finish();
}

/// What is kept of a texture whose device is destroyed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    /// The image that it was drawn in.
    Image,
    /// A copy in owned memory.
    Copy,
    /// A copy in portable memory.
    PortableCopy,
}

/// A canvas texture that is ordinary for its usage.
fn ordinary_canvas(world: &mut World, configuration: ContextConfiguration) -> PendingTexture {
    let usual = texture_descriptor(&configuration);
    let usage = USAGE | TextureUsages::STORAGE_BINDING;
    let descriptor = TextureDescriptor { usage, view_formats: vec![configuration.format], ..usual };
    let (texture_id, error) =
        world.presenter.create_canvas_texture(CONTEXT, &configuration, &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    PendingTexture { texture_id, encoder_ids: None, configuration }
}

// The conformance suite draws, destroys the device in the same task, and expects to see what was drawn; the engine presents only later.
#[rstest]
fn what_was_drawn_before_its_device_was_destroyed_is_shown(
    #[values(Kept::Image, Kept::Copy, Kept::PortableCopy)] kept: Kept,
    #[values(false, true)] is_dropped: bool,
    #[values(false, true)] is_written: bool,
) {
    let setup = if kept == Kept::PortableCopy { Portable } else { Owned };
    let Some(mut world) = World::new(setup) else { return };
    let configuration =
        ContextConfiguration { format: TextureFormat::Rgba8Unorm, ..world.configuration(size(33, 5)) };
    let texture = match kept {
        Kept::Image | Kept::PortableCopy => empty_canvas(&mut world, configuration),
        Kept::Copy => ordinary_canvas(&mut world, configuration),
    };
    let red = [255, 0, 0, 255];
    if is_written {
        world.gpu.write(world.device, texture.texture_id, configuration.size, &red.repeat(33 * 5));
    } else {
        draw(&world, &texture, &[Pass { load_op: CLEAR_TO_RED, store_op: StoreOp::Store }]);
    }
    world.presenter.destroy_device(world.device.id);
    if is_dropped {
        // The GPU has done its work by the time at which script collects its garbage.
        std::thread::sleep(Duration::from_millis(100));
        world.presenter.drop_queue(world.device.id, world.device.queue);
        world.presenter.drop_device(world.device.id);
    }
    world.present_and_wait(texture, 1);
    world.assert_shows(red);
    world.finish();
}

#[test]
fn what_is_kept_of_a_destroyed_device_is_in_flight_no_longer_than_its_gpu_works() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(256, 256));
    let texture = red_canvas(&mut world, configuration);
    world.presenter.destroy_device(world.device.id);
    let deadline = Instant::now() + TIMEOUT;
    let in_flight = |world: &World| {
        world.presenter.memory_report().iter().any(|report| report.kind == MemoryKind::InFlight)
    };
    while in_flight(&world) {
        assert!(Instant::now() < deadline, "{:?}", world.presenter.memory_report());
        world.presenter.maintain();
    }
    let report = world.presenter.memory_report();
    assert_eq!(report.iter().map(|report| report.bytes).sum::<usize>(), 256 * 256 * 4, "{report:?}");
    world.present_and_wait(texture, 1);
    world.assert_shows([0, 0, 255, 255]);
    world.finish();
}

// A page finds no difference between a texture that is copied and one that is not.
#[rstest]
fn a_present_destroys_every_canvas_texture(#[values(false, true)] is_direct: bool) {
    let Some(mut world) = World::new(if is_direct { Owned } else { Portable }) else { return };
    let configuration = world.configuration(size(4, 2));
    let texture = red_canvas(&mut world, configuration);
    world.present_kept(texture, 1).unwrap();
    let end = world.end();
    assert!(matches!(end, PresentEnd::Presented), "{end:?}");
    assert_counts(&world, is_direct.into(), (!is_direct).then_some(ReadbackReason::Device));
    world.present_kept(texture, 2).unwrap();
    let end = world.end();
    assert!(matches!(end, PresentEnd::Failed(PresentError::TextureDestroyed)), "{end:?}");
    world.gpu.global.texture_drop(texture.texture_id);
    world.finish();
}

#[test]
fn a_texture_that_is_never_presented_leaves_nothing() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(256, 256));
    for _ in 0..16 {
        let texture = red_canvas(&mut world, configuration);
        let mut batch = world.presenter.batch();
        batch.destroy_texture(texture.texture_id);
        batch.drop_texture(texture.texture_id);
        batch.submit();
        world.gpu.global.device_poll(world.device.id, wgt::PollType::wait_indefinitely()).unwrap();
    }
    let bytes: usize = world.presenter.memory_report().iter().map(|report| report.bytes).sum();
    assert_eq!(bytes, 0, "{:?}", world.presenter.memory_report());
    let texture = red_canvas(&mut world, configuration);
    let report = world.presenter.memory_report();
    assert_eq!(report.len(), 1);
    assert_eq!((report[0].kind, report[0].bytes), (MemoryKind::CanvasTextures, 256 * 256 * 4));
    world.present_and_wait(texture, 1);
    assert_counts(&world, 1, None);
    world.finish();
}

// A busy canvas has no more images than three, however large.
#[test]
fn a_busy_canvas_has_three_images() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(512, 512));
    for epoch in 1..=20 {
        let texture = red_canvas(&mut world, configuration);
        world.present_and_wait(texture, epoch);
        world.assert_shows(RED);
        let bytes: usize = world.presenter.memory_report().iter().map(|report| report.bytes).sum();
        assert!(bytes <= 3 * 512 * 512 * 4, "{bytes}");
    }
    assert_counts(&world, 20, None);
    world.finish();
}

// wgpu-core judges what is not a plain canvas texture, and the page gets its error.
#[test]
fn other_textures_are_ordinary() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(33, 5));
    let usual = texture_descriptor(&configuration);
    let mips = TextureDescriptor { mip_level_count: 2, ..usual.clone() };
    let other = TextureDescriptor { size: extent(size(33, 6)), ..usual.clone() };
    for (descriptor, reason) in [(mips, ReadbackReason::Texture), (other, ReadbackReason::Configuration)] {
        let (texture_id, error) =
            world.presenter.create_canvas_texture(CONTEXT, &configuration, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        let texture = PendingTexture { texture_id, encoder_ids: None, configuration };
        world.present_and_wait(texture, 1);
        assert_eq!(world.shown(), CLEAR);
        assert_counts(&world, 0, Some(reason));
    }
    for wrong in [
        TextureDescriptor { size: extent(size(0, 5)), ..usual.clone() },
        TextureDescriptor { size: extent(size(1 << 20, 5)), ..usual.clone() },
        TextureDescriptor { usage: TextureUsages::empty(), ..usual.clone() },
        TextureDescriptor { sample_count: 3, ..usual.clone() },
        TextureDescriptor { view_formats: vec![TextureFormat::Rgba16Float], ..usual.clone() },
        TextureDescriptor {
            format: TextureFormat::Depth32Float,
            usage: TextureUsages::STORAGE_BINDING,
            ..usual
        },
    ] {
        let size = Size2D::new(wrong.size.width, wrong.size.height);
        let configuration = ContextConfiguration { size, format: wrong.format, ..configuration };
        let (id, error) = world.presenter.create_canvas_texture(CONTEXT, &configuration, &wrong, None);
        assert!(error.is_some(), "{wrong:?}");
        world.gpu.global.texture_drop(id);
    }
    // Without a context it is a texture all the same.
    let (id, error) = world.presenter.create_canvas_texture(
        ContextId(77),
        &configuration,
        &texture_descriptor(&configuration),
        None,
    );
    assert!(error.is_none(), "{error:?}");
    world.gpu.global.texture_drop(id);
    world.finish();
}

/// Presents a canvas texture of `CONTEXT` after ordinary ones of other contexts, and returns the outcomes of all.
fn present_with_neighbors(world: &mut World, texture: PendingTexture, neighbors: u64) -> Vec<PresentOutcome> {
    let contexts: Vec<_> = (100..100 + neighbors).map(ContextId).collect();
    for context in &contexts {
        world.presenter.create_context(*context, descriptor()).unwrap();
    }
    let ordinary: Vec<_> = contexts.iter().map(|_| world.solid(RED, size(4, 2))).collect();
    let mut batch = world.presenter.batch();
    for (context, texture) in contexts.iter().zip(&ordinary) {
        batch.present(*context, Contents::Texture(*texture), CanvasEpoch(1)).unwrap();
    }
    batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(2)).unwrap();
    ordinary.iter().for_each(|texture| batch.drop_texture(texture.texture_id));
    batch.submit();
    (0..=neighbors).map(|_| world.outcomes.recv_timeout(TIMEOUT).unwrap()).collect()
}

// The queue that the present waits for is not the one that draws in the texture.
#[rstest]
fn a_canvas_texture_of_another_device_is_not_presented(#[values(0, 1)] neighbors: u64) {
    let Some(mut world) = World::new(Owned) else { return };
    let other = world.gpu.device();
    let texture = empty_canvas(&mut world, other.configuration(size(4, 2)));
    let lie = PendingTexture { configuration: world.configuration(size(4, 2)), ..texture };
    let outcomes = present_with_neighbors(&mut world, lie, neighbors);
    for PresentOutcome { context, end, .. } in outcomes {
        let is_right = match end {
            PresentEnd::Presented => context != CONTEXT,
            PresentEnd::Failed(PresentError::WrongDevice) => context == CONTEXT,
            _ => false,
        };
        assert!(is_right, "{context:?}: {end:?}");
    }
    world.gpu.global.texture_drop(texture.texture_id);
    world.finish();
}

#[rstest]
fn a_canvas_texture_that_the_engine_destroyed_is_not_presented(#[values(0, 1)] neighbors: u64) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(4, 2));
    let texture = red_canvas(&mut world, configuration);
    world.gpu.global.texture_destroy(texture.texture_id);
    for PresentOutcome { context, end, .. } in present_with_neighbors(&mut world, texture, neighbors) {
        let is_right = match end {
            PresentEnd::Presented => context != CONTEXT,
            PresentEnd::Failed(PresentError::TextureDestroyed) => context == CONTEXT,
            _ => false,
        };
        assert!(is_right, "{context:?}: {end:?}");
    }
    world.gpu.global.texture_drop(texture.texture_id);
    world.finish();
}

#[rstest]
fn a_canvas_texture_that_the_engine_dropped_hurts_no_neighbor(#[values(0, 2)] neighbors: u64) {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(4, 2));
    let texture = red_canvas(&mut world, configuration);
    world.gpu.global.texture_drop(texture.texture_id);
    for PresentOutcome { context, end, .. } in present_with_neighbors(&mut world, texture, neighbors) {
        let is_right = match end {
            PresentEnd::Presented => context != CONTEXT,
            PresentEnd::Failed(PresentError::Panicked) => context == CONTEXT,
            _ => false,
        };
        assert!(is_right, "{context:?}: {end:?}");
    }
    world.finish();
}

// wgpu-core destroys the textures of a destroyed device in a poll.
#[test]
fn a_canvas_texture_of_a_device_that_the_engine_destroyed_is_lost_with_it() {
    let Some(mut world) = World::new(Owned) else { return };
    let configuration = world.configuration(size(4, 2));
    let texture = red_canvas(&mut world, configuration);
    world.gpu.global.device_poll(world.device.id, wgt::PollType::wait_indefinitely()).unwrap();
    world.gpu.global.device_destroy(world.device.id);
    let poll = || world.gpu.global.device_poll(world.device.id, wgt::PollType::Poll);
    while !poll().is_ok_and(|status| status.is_queue_empty()) {
        std::thread::yield_now();
    }
    world.present(texture, 1).unwrap();
    let end = world.end();
    assert!(matches!(end, PresentEnd::Failed(PresentError::DeviceLost)), "{end:?}");
    world.finish();
}
