//! The floor: one pass of the CPU over the bytes, and one GPU copy for each destination.
//!
//! No way to upload can do without either of them. The staging buffer is kept and mapped again in each frame.

use wgpu_core::device::HostMap;
use wgpu_core::id::BufferId;
use wgpu_core::resource::BufferMapOperation;
use wgpu_types::BufferUsages;

use crate::Side;
use crate::cases::Case;
use crate::raw::Device;

pub struct Floor {
    device: Device,
    staging: BufferId,
    targets: Vec<BufferId>,
}

impl Floor {
    pub fn new(device: Device, case: &Case) -> Self {
        let usage = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
        let staging = device.buffer(case.bytes() as u64, usage, true);
        let targets = case.targets(&device);
        Self { device, staging, targets }
    }
}

impl Side for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn frame(&mut self, case: &Case, data: &[u8]) {
        let global = &self.device.global;
        let (pointer, len) = global.buffer_get_mapped_range(self.staging, 0, None).expect("it is mapped");
        // SAFETY: the buffer is mapped for writing until `buffer_unmap` below, `len` bytes from `pointer` on. Only this thread
        // knows the buffer, and the device, which would free its memory, is not destroyed before.
        let mapped = unsafe { std::slice::from_raw_parts_mut(pointer.as_ptr(), len as usize) };
        let part = data.len() / case.buffers;
        if case.buffers == 1 {
            mapped.copy_from_slice(data);
        } else {
            for (buffer, offset, data) in case.writes(data) {
                let start = buffer * part + offset as usize;
                mapped[start..start + data.len()].copy_from_slice(data);
            }
        }
        global.buffer_unmap(self.staging).expect("it is mapped");
        let encoder = self.device.encoder();
        for (index, target) in self.targets.iter().enumerate() {
            let source = (index * part) as u64;
            global
                .command_encoder_copy_buffer_to_buffer(
                    encoder,
                    self.staging,
                    source,
                    *target,
                    0,
                    Some(part as u64),
                )
                .expect("it can be recorded");
        }
        let submission = self.device.submit(encoder);
        let map = BufferMapOperation { host: HostMap::Write, callback: None };
        global.buffer_map_async(self.staging, 0, None, map).expect("it can be mapped");
        self.device.wait(submission);
    }
}
