//! Writes that are scattered over a buffer: at a constant distance they take few copies, otherwise one each.

use webgpu_presentation::belt::*;
use wgpu_core::id::BufferId;
use wgpu_core::resource::BufferDescriptor;
use wgpu_types::BufferUsages;

use crate::MIB;
use crate::world::*;

/// Writes of `size` bytes, `distance` bytes apart.
#[derive(Clone, Copy, Debug)]
struct Scattered {
    first: u64,
    size: u64,
    distance: u64,
    count: u64,
}

impl Scattered {
    fn end(&self) -> u64 {
        self.first + (self.count - 1) * self.distance + self.size
    }

    /// Writes all of them to the belt and to a model of the buffer.
    fn write(&self, belt: &mut StagingBelt, buffer: BufferId, model: &mut [u8], seed: u8) {
        let data = pattern(seed, (self.size * self.count) as usize);
        for (index, data) in data.chunks(self.size as usize).enumerate() {
            let offset = self.first + index as u64 * self.distance;
            belt.write_buffer(buffer, offset, data).unwrap();
            model[offset as usize..][..data.len()].copy_from_slice(data);
        }
    }
}

// What lies between the writes stays as it is: what was written before, or zero.
#[test]
fn writes_at_a_constant_distance_take_few_copies() {
    on_vulkan(|world| {
        // The texture of the last case would be too large for a device: it takes two.
        let most = world.gpu.global.device_limits(world.device.id).max_texture_dimension_2d;
        let cases = [
            (0, 64, 256, 1000, 5),
            (0, 64, 128, 10_000, 5),
            (64, 64, 128, 130, 2 + 5),
            (4, 4, 8, 1000, 1000 % 64 + 65),
            (12, 60, 100, 777, 777 % 64 + 65),
            (0, 256, 260, 300, 300 % 64 + 65),
            (32, 1024, 1280, 200, 2),
            (0, 16, 512, u64::from(most) * 16 + 17, 1 + 2 * 17),
        ];
        for (first, size, distance, count, copies) in cases {
            let scattered = Scattered { first, size, distance, count };
            let bytes = scattered.end() + 128;
            let buffer = world.buffer(bytes);
            let mut belt = world.belt(BeltDescriptor { chunk_size: 8 * MIB, ..Default::default() });
            let mut model = vec![0; bytes as usize];
            scattered.write(&mut belt, buffer, &mut model, 1);
            let stats = world.frame(&mut belt);
            assert_eq!(stats, FlushStats { copies, bytes: size * count, refused: 0 }, "{scattered:?}");
            assert!(world.read(buffer, bytes) == model, "{scattered:?}");
            // All of the buffer is written, and then some of it again, in the same frame.
            model = pattern(2, bytes as usize);
            belt.write_buffer(buffer, 0, &model).unwrap();
            scattered.write(&mut belt, buffer, &mut model, 3);
            model[..8].fill(4);
            belt.write_buffer(buffer, 0, &[4; 8]).unwrap();
            world.frame(&mut belt);
            assert!(world.read(buffer, bytes) == model, "{scattered:?}");
            world.gpu.global.buffer_drop(buffer);
        }
    });
}

// Few writes, large ones, and overlapping ones are copied one by one, and without Vulkan all are.
#[test]
fn other_scattered_writes_take_a_copy_each() {
    on_all(|world| {
        let bytes = 600_000;
        let mut belt = world.belt(roomy());
        for scattered in [
            Scattered { first: 0, size: 64, distance: 128, count: 100 },
            Scattered { first: 0, size: 1028, distance: 2048, count: 200 },
            Scattered { first: 0, size: 64, distance: 32, count: 1000 },
            Scattered { first: 0, size: 64, distance: 128, count: if world.noop { 1000 } else { 127 } },
        ] {
            let buffer = world.buffer(bytes);
            let mut model = vec![0; bytes as usize];
            scattered.write(&mut belt, buffer, &mut model, 1);
            assert_eq!(world.frame(&mut belt).copies as u64, scattered.count, "{scattered:?}");
            assert!(world.read(buffer, bytes) == model, "{scattered:?}");
        }
    });
}

// A texture would need an id of the engine's.
#[test]
fn a_belt_with_ids_of_the_engine_s_needs_no_other_id() {
    on_vulkan(|world| {
        let mut ids: Vec<_> = (0..4).map(|index| BufferId::zip(index, 1)).collect();
        let usage = BufferUsages::COPY_DST;
        let descriptor = BufferDescriptor { label: None, size: 100_000, usage, mapped_at_creation: false };
        let (buffer, error) = world.gpu.global.device_create_buffer(world.device.id, &descriptor, ids.pop());
        assert!(error.is_none());
        let mut belt = belt_with_ids(world, &roomy(), ids, |_| ());
        let scattered = Scattered { first: 0, size: 64, distance: 128, count: 500 };
        scattered.write(&mut belt, buffer, &mut [0; 100_000], 1);
        assert_eq!(world.frame(&mut belt).copies, 500);
    });
}

#[test]
fn scattered_writes_to_a_destroyed_buffer_are_left_out() {
    on_vulkan(|world| {
        let [gone, good] = [(); 2].map(|()| world.buffer(100_000));
        let mut belt = world.belt(roomy());
        let scattered = Scattered { first: 0, size: 64, distance: 128, count: 500 };
        let mut model = vec![0; 100_000];
        for buffer in [gone, good] {
            scattered.write(&mut belt, buffer, &mut model, 1);
        }
        world.gpu.global.buffer_destroy(gone);
        let stats = world.frame(&mut belt);
        assert_eq!(stats, FlushStats { copies: 5, bytes: 32_000, refused: 500 });
        assert!(world.read(good, 100_000) == model);
    });
}

#[test]
fn scattered_writes_wait_for_another_encoder_if_one_has_ended() {
    on_vulkan(|world| {
        let buffer = world.buffer(100_000);
        let mut belt = world.belt(roomy());
        let scattered = Scattered { first: 0, size: 64, distance: 128, count: 500 };
        let mut model = vec![0; 100_000];
        scattered.write(&mut belt, buffer, &mut model, 1);
        let global = &world.gpu.global;
        let ended = world.encoder();
        let (commands, error) = global.command_encoder_finish(ended, &Default::default(), None);
        assert!(error.is_none());
        assert!(matches!(belt.flush(ended), Err(BeltError::EncoderEnded)));
        global.command_buffer_drop(commands);
        global.command_encoder_drop(ended);
        assert_eq!(world.frame(&mut belt).copies, 5);
        assert!(world.read(buffer, 100_000) == model);
    });
}
