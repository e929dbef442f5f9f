//! Canvases that script draws into through a view of the `-srgb` variant of their format. GL has no such views.

use std::borrow::Cow;

use wgpu_core::command::{RenderPassColorAttachment, RenderPassDescriptor};
use wgpu_core::pipeline::{
    FragmentState, ProgrammableStageDescriptor, RenderPipelineDescriptor, ShaderModuleDescriptor,
    ShaderModuleSource, VertexState,
};
use wgpu_core::resource::TextureViewDescriptor;
use wgpu_types as wgt;

use super::world::*;

const SHADER: &str = "
    @vertex fn corners(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
        return vec4f(f32(i & 1u) * 4 - 1, f32(i >> 1u) * 4 - 1, 0, 1);
    }
    @fragment fn light() -> @location(0) vec4f {
        return vec4f(0.25, 0.0, 1.0, 0.5);
    }
";

/// A canvas texture whose every pixel a shader has written, through a view of another format.
fn drawn(
    world: &World,
    format: TextureFormat,
    view_format: TextureFormat,
    size: Size2D<u32>,
) -> PendingTexture {
    let (global, device) = (&world.gpu.global, world.device.id);
    let usage = TextureUsages::COPY_SRC | TextureUsages::RENDER_ATTACHMENT;
    let texture_id = world.gpu.texture_with_views(world.device, format, size, usage, &[view_format]);
    let descriptor = TextureViewDescriptor {
        label: None,
        format: Some(view_format),
        dimension: None,
        usage: None,
        range: Default::default(),
    };
    let (view, error) = global.texture_create_view(texture_id, &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    let descriptor = ShaderModuleDescriptor { label: None, runtime_checks: Default::default() };
    let source = ShaderModuleSource::Wgsl(Cow::Borrowed(SHADER));
    let (shader, error) = global.device_create_shader_module(device, &descriptor, source, None);
    assert!(error.is_none(), "{error:?}");
    let stage = |entry: &'static str| ProgrammableStageDescriptor {
        module: shader,
        entry_point: Some(entry.into()),
        constants: Default::default(),
        zero_initialize_workgroup_memory: true,
    };
    let target =
        wgt::ColorTargetState { format: view_format, blend: None, write_mask: wgt::ColorWrites::ALL };
    let descriptor = RenderPipelineDescriptor {
        label: None,
        layout: None,
        vertex: VertexState { stage: stage("corners"), buffers: Cow::Borrowed(&[]) },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(FragmentState { stage: stage("light"), targets: vec![Some(target)].into() }),
        multiview_mask: None,
        cache: None,
    };
    let (pipeline, error) = global.device_create_render_pipeline(device, &descriptor, None);
    assert!(error.is_none(), "{error:?}");
    world.gpu.submit(world.device, |encoder| {
        let attachment = RenderPassColorAttachment {
            view,
            depth_slice: None,
            resolve_target: None,
            load_op: wgt::LoadOp::Clear(wgt::Color::TRANSPARENT),
            store_op: wgt::StoreOp::Store,
        };
        let descriptor =
            RenderPassDescriptor { color_attachments: vec![Some(attachment)].into(), ..Default::default() };
        let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
        assert!(error.is_none(), "{error:?}");
        global.render_pass_set_pipeline(&mut pass, pipeline).unwrap();
        global.render_pass_draw(&mut pass, 3, 1, 0, 0).unwrap();
        global.render_pass_end(&mut pass).unwrap();
    });
    global.render_pipeline_drop(pipeline);
    global.shader_module_drop(shader);
    global.texture_view_drop(view);
    let configuration = ContextConfiguration { format, ..world.configuration(size) };
    PendingTexture { texture_id, encoder_ids: None, configuration }
}

// The texture holds encoded values, which must not be encoded again. A quarter of light is 136.96 encoded; alpha is linear.
#[rstest]
fn what_is_drawn_through_an_srgb_view_is_the_encoded_value(#[values(Owned, Portable)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for (epoch, (format, srgb)) in (1..).zip([
        (TextureFormat::Bgra8Unorm, TextureFormat::Bgra8UnormSrgb),
        (TextureFormat::Rgba8Unorm, TextureFormat::Rgba8UnormSrgb),
    ]) {
        for (view, red) in [(format, 64), (srgb, 137)] {
            let texture = drawn(&world, format, view, size(5, 3));
            world.present_and_wait(texture, epoch);
            let image = world.get_image(None).unwrap();
            let encoding = PixelEncoding { alpha: AlphaEncoding::Premultiplied, ..PixelEncoding::IMAGE_DATA };
            assert_eq!(
                image.convert(encoding).unwrap(),
                [red, 0, 255, 128].repeat(15),
                "{format:?} through {view:?}"
            );
        }
    }
    world.finish();
}
