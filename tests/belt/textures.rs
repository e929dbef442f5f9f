//! Writes to textures.

use euclid::default::Size2D;
use webgpu_presentation::belt::*;
use wgpu_core::id::TextureId;
use wgpu_core::resource::TextureDescriptor;
use wgpu_types as wgt;
use wgpu_types::{BufferUsages, TextureFormat, TextureUsages};

use crate::MIB;
use crate::support::gpu::{extent, whole};
use crate::world::*;

pub struct Texture {
    pub id: TextureId,
    pub format: TextureFormat,
    size: wgt::Extent3d,
}

impl World {
    pub fn texture(
        &self,
        format: TextureFormat,
        dimension: wgt::TextureDimension,
        size: [u32; 3],
    ) -> Texture {
        let size = wgt::Extent3d { width: size[0], height: size[1], depth_or_array_layers: size[2] };
        let descriptor = TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension,
            format,
            usage: TextureUsages::COPY_DST | TextureUsages::COPY_SRC,
            view_formats: vec![],
        };
        let (id, error) = self.gpu.global.device_create_texture(self.device.id, &descriptor, None);
        assert!(error.is_none(), "{error:?}");
        Texture { id, format, size }
    }

    /// Reads all texels, row after row and layer after layer, with wgpu-core alone.
    fn texels(&self, texture: &Texture) -> Vec<u8> {
        let size = texture.size;
        let row = size.width as usize * texture.format.block_copy_size(None).unwrap() as usize;
        let stride = row.next_multiple_of(256);
        let rows = (size.height * size.depth_or_array_layers) as usize;
        let usage = BufferUsages::COPY_DST | BufferUsages::MAP_READ;
        let buffer = self.buffer_of(self.device, (stride * rows) as u64, usage);
        let encoder = self.encoder();
        let layout = wgt::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(stride as u32),
            rows_per_image: Some(size.height),
        };
        let target = wgt::TexelCopyBufferInfo { buffer, layout };
        self.gpu
            .global
            .command_encoder_copy_texture_to_buffer(encoder, &whole(texture.id), &target, &size)
            .unwrap();
        self.submit(encoder);
        self.mapped(buffer).chunks(stride).flat_map(|bytes| &bytes[..row]).copied().collect()
    }
}

pub fn layout(offset: u64, bytes_per_row: u32, rows_per_image: u32) -> wgt::TexelCopyBufferLayout {
    wgt::TexelCopyBufferLayout {
        offset,
        bytes_per_row: Some(bytes_per_row),
        rows_per_image: Some(rows_per_image),
    }
}

// The cases have texels of 1 to 16 bytes, odd widths, layers and slices, and data with gaps. A chunk holds
// everything, a layer, or two rows.
#[test]
fn texels_arrive() {
    on_vulkan(|world| {
        use TextureFormat::*;
        use wgt::TextureDimension::{D2, D3};
        let cases = [
            (R8Unorm, D2, [3, 5, 1]),
            (Rg8Unorm, D2, [129, 7, 3]),
            (Rgba8Unorm, D2, [1, 1, 1]),
            (Bgra8Unorm, D2, [65, 9, 4]),
            (Rgba16Float, D3, [33, 4, 5]),
            (Rgba32Float, D2, [7, 3, 2]),
        ];
        for (format, dimension, size @ [width, height, layers]) in cases {
            for (chunk_size, max_chunk_size) in [(MIB, MIB), (16, 5120), (16, 1300)] {
                let texture = world.texture(format, dimension, size);
                let descriptor = BeltDescriptor { chunk_size, max_chunk_size, ..Default::default() };
                let mut belt = world.belt(descriptor);
                let row = width * format.block_copy_size(None).unwrap();
                let (stride, rows, offset) = (row + 5, height + 2, 3);
                let data = pattern(width as u8, (3 + stride * rows * layers) as usize);
                let buffer = world.buffer(64);
                belt.write_buffer(buffer, 0, &[1; 32]).unwrap();
                // The allocation makes the texels begin elsewhere than the chunk does.
                belt.allocate(4, 4).unwrap();
                belt.write_texture(
                    &whole(texture.id),
                    format,
                    &data,
                    &layout(offset, stride, rows),
                    texture.size,
                )
                .unwrap();
                belt.write_buffer(buffer, 32, &[2; 32]).unwrap();
                let stats = world.frame(&mut belt);
                assert_eq!(stats.refused, 0);
                let wanted: Vec<u8> = (0..layers)
                    .flat_map(|layer| (0..height).map(move |y| (3 + (layer * rows + y) * stride) as usize))
                    .flat_map(|start| &data[start..start + row as usize])
                    .copied()
                    .collect();
                assert!(world.texels(&texture) == wanted, "{format:?} {size:?} {max_chunk_size}");
                assert_eq!(world.read(buffer, 64), [[1; 32], [2; 32]].concat());
            }
        }
    });
}

#[test]
fn a_part_of_a_texture_is_written_and_later_writes_win() {
    on_vulkan(|world| {
        let size = Size2D::new(8, 8);
        let texture = world.gpu.texture_with(world.device, TextureFormat::Rgba8Unorm, size, &[7; 256]);
        let mut belt = world.belt(roomy());
        let mut destination = whole(texture);
        destination.origin = wgt::Origin3d { x: 2, y: 3, z: 0 };
        for (value, width) in [(1, 3), (2, 2)] {
            let part = extent(Size2D::new(width, 2));
            let data = vec![value; 4 * 2 * width as usize];
            let layout = layout(0, 4 * width, 2);
            belt.write_texture(&destination, TextureFormat::Rgba8Unorm, &data, &layout, part).unwrap();
        }
        world.frame(&mut belt);
        let bytes = world.gpu.read(world.device, texture, size);
        for (index, texel) in bytes.chunks(4).enumerate() {
            let wanted = match (index % 8, index / 8) {
                (2..=3, 3..=4) => 2,
                (4, 3..=4) => 1,
                _ => 7,
            };
            assert_eq!(texel, [wanted; 4], "{index}");
        }
    });
}

#[test]
fn a_bad_texture_write_is_a_typed_error_and_hurts_no_other() {
    on_all(|world| {
        use TextureFormat::{Depth24PlusStencil8, R8Unorm, Rgba8Unorm};
        let texture = world.texture(Rgba8Unorm, wgt::TextureDimension::D2, [8, 8, 1]);
        let unusable =
            world.gpu.texture(world.device, Rgba8Unorm, Size2D::new(8, 8), TextureUsages::COPY_SRC);
        let invalid = world.gpu.invalid_texture(world.device);
        let destroyed = world.texture(Rgba8Unorm, wgt::TextureDimension::D2, [8, 8, 1]).id;
        world.gpu.global.texture_destroy(destroyed);
        let other = world.gpu.device();
        let foreign = world.gpu.texture(other, Rgba8Unorm, Size2D::new(8, 8), TextureUsages::COPY_DST);
        let buffer = world.buffer(4);
        let mut belt =
            world.belt(BeltDescriptor { chunk_size: 2048, max_chunk_size: 2048, ..Default::default() });
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let size = texture.size;
        let mut at_8 = whole(texture.id);
        at_8.origin.x = 8;
        let two_layers = wgt::Extent3d { depth_or_array_layers: 2, ..size };
        let mut mip = whole(texture.id);
        mip.mip_level = 1;
        let mut far = whole(texture.id);
        far.origin.z = u32::MAX;
        let rows = |bytes_per_row| layout(0, bytes_per_row, 8);
        let data = [9; 1 << 12];
        let good = (whole(texture.id), Rgba8Unorm, &data[..], rows(32), size);
        type Case<'a> = (
            wgt::TexelCopyTextureInfo<TextureId>,
            TextureFormat,
            &'a [u8],
            wgt::TexelCopyBufferLayout,
            wgt::Extent3d,
        );
        let bad: Vec<(Case<'_>, IsRight)> = vec![
            ((at_8, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((good.0, good.1, good.2, good.3, two_layers), |error| matches!(error, BeltError::OutOfBounds)),
            ((mip, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((far, good.1, good.2, good.3, size), |error| matches!(error, BeltError::OutOfBounds)),
            ((whole(unusable), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationUsage)
            }),
            ((whole(destroyed), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationDestroyed)
            }),
            // wgpu-core finds the missing usage of an error texture first.
            ((whole(invalid), good.1, good.2, good.3, size), |error| {
                matches!(error, BeltError::DestinationUsage)
            }),
            ((whole(foreign), good.1, good.2, good.3, size), |error| matches!(error, BeltError::WrongDevice)),
            // The rows of the texture are longer than those of the given format.
            ((good.0, R8Unorm, good.2, good.3, size), |error| matches!(error, BeltError::Refused(_))),
            ((good.0, Depth24PlusStencil8, good.2, good.3, size), |error| {
                matches!(error, BeltError::UnsupportedFormat(Depth24PlusStencil8))
            }),
            ((good.0, good.1, good.2, rows(31), size), |error| matches!(error, BeltError::TextureLayout(_))),
            ((good.0, good.1, good.2, layout(0, 32, 7), size), |error| {
                matches!(error, BeltError::TextureLayout(_))
            }),
            ((good.0, good.1, good.2, wgt::TexelCopyBufferLayout::default(), size), |error| {
                matches!(error, BeltError::IncompleteLayout)
            }),
            ((good.0, good.1, &data[..255], good.3, size), |error| {
                matches!(error, BeltError::DataTooShort { needed: 256, given: 255 })
            }),
            ((good.0, good.1, good.2, layout(u64::MAX, 32, 8), size), |error| {
                matches!(error, BeltError::DataTooShort { .. })
            }),
        ];
        for ((destination, format, data, layout, size), is_right) in bad {
            let error = belt.write_texture(&destination, format, data, &layout, size).unwrap_err();
            assert!(is_right(&error), "{error:?}");
        }
        belt.write_texture(&good.0, good.1, good.2, &good.3, good.4).unwrap();
        let empty = wgt::Extent3d { width: 0, ..size };
        belt.write_texture(&good.0, good.1, &[], &rows(32), empty).unwrap();
        let stats = world.frame(&mut belt);
        assert_eq!((stats.copies, stats.refused), (2, 0));
        assert_eq!(world.read(buffer, 4), [1; 4]);
        if !world.noop {
            assert_eq!(world.texels(&texture), [9; 256]);
        }
        // The texture is destroyed after the write and before the flush.
        belt.write_texture(&good.0, good.1, good.2, &good.3, good.4).unwrap();
        belt.write_buffer(buffer, 0, &[2; 4]).unwrap();
        world.gpu.global.texture_destroy(texture.id);
        let stats = world.frame(&mut belt);
        assert_eq!((stats.copies, stats.refused), (1, 1));
        assert_eq!(world.read(buffer, 4), [2; 4]);
    });
}

// The last piece finds no room: no piece is copied, but what was written to buffers is.
#[test]
fn a_texture_is_written_whole_or_not_at_all() {
    on_vulkan(|world| {
        let texture = world.texture(TextureFormat::R8Unorm, wgt::TextureDimension::D2, [256, 100, 1]);
        let buffer = world.buffer(4);
        let descriptor = BeltDescriptor {
            chunk_size: 2560,
            max_chunk_size: 2560,
            max_bytes: 10_240,
            ..Default::default()
        };
        let mut belt = world.belt(descriptor);
        belt.write_buffer(buffer, 0, &[1; 4]).unwrap();
        let data = vec![1; 25_600];
        let refused =
            belt.write_texture(&whole(texture.id), texture.format, &data, &layout(0, 256, 100), texture.size);
        assert!(matches!(refused, Err(BeltError::BudgetExceeded { .. })), "{refused:?}");
        assert_eq!(world.frame(&mut belt).copies, 1);
        assert_eq!(world.read(buffer, 4), [1; 4]);
        assert_eq!(world.texels(&texture), [0; 25_600]);
    });
}

#[test]
fn a_forgotten_texture_may_be_dropped() {
    on_vulkan(|world| {
        let [gone, kept] =
            [(); 2].map(|()| world.texture(TextureFormat::R8Unorm, wgt::TextureDimension::D2, [256, 2, 1]));
        let mut belt = world.belt(roomy());
        for texture in [&gone, &kept] {
            let (to, data) = (whole(texture.id), pattern(1, 512));
            belt.write_texture(&to, texture.format, &data, &layout(0, 256, 2), texture.size).unwrap();
        }
        belt.forget_texture(gone.id);
        world.gpu.global.texture_drop(gone.id);
        assert_eq!(world.frame(&mut belt).copies, 1);
        assert_eq!(world.texels(&kept), pattern(1, 512));
    });
}

// A later write that fits succeeds, however many pieces of the failed write found room.
#[test]
fn a_failed_texture_write_takes_nothing_of_the_budget() {
    on_vulkan(|world| {
        let size = 8 * 1024;
        let texture = world.texture(TextureFormat::R8Unorm, wgt::TextureDimension::D2, [256, 160, 1]);
        let small = world.texture(TextureFormat::R8Unorm, wgt::TextureDimension::D2, [256, 96, 1]);
        let descriptor = BeltDescriptor {
            chunk_size: size,
            max_chunk_size: size,
            max_bytes: 4 * size,
            ..Default::default()
        };
        for offset in [0, 4] {
            let mut belt = world.belt(descriptor);
            let buffer = world.buffer(64);
            if offset > 0 {
                belt.write_buffer(buffer, 0, &[7; 64]).unwrap();
            }
            for _ in 0..3 {
                let (to, data) = (whole(texture.id), pattern(9, 256 * 160));
                let layout = layout(0, 256, 160);
                let refused = belt.write_texture(&to, texture.format, &data, &layout, texture.size);
                assert!(matches!(refused, Err(BeltError::BudgetExceeded { .. })), "{refused:?}");
            }
            assert_eq!(belt.stats().active, usize::from(offset > 0));
            belt.write_buffer(buffer, 4, &[8; 4]).unwrap();
            let (to, data) = (whole(small.id), pattern(3 + offset, 256 * 96));
            belt.write_texture(&to, small.format, &data, &layout(0, 256, 96), small.size).unwrap();
            world.frame(&mut belt);
            assert_eq!(world.texels(&small), data);
            let first = if offset > 0 { 7 } else { 0 };
            assert_eq!(world.read(buffer, 64)[..12], [[first; 4], [8; 4], [first; 4]].concat());
        }
    });
}
